/** How a search is told what to do: options that make sense, or a sentence and exit code 2. */

/** Runs the search with what `read` makes of its options; gives its exit code, or 2 where `read` throws. */
export async function withOptions<Options>(
  read: () => Options,
  run: (options: Options) => Promise<number>,
): Promise<number> {
  let options: Options;
  try {
    options = read();
  } catch (error) {
    console.error(`${(error as Error).message}; see npm run soak -- --help`);
    return 2;
  }
  return run(options);
}
