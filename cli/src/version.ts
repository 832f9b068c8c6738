/** The version of the command, and of what its runs are done with. */
export const version = '0.1.0';
