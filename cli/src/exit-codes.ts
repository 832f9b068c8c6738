/** What the exit status of `skep` means: the one table that the code, --help and the README go by. */

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unreachable: 4,
  refused: 5,
  badTorrent: 6,
  machine: 7,
  timeout: 8,
  broken: 9,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeHelp = `
Exit status:
  0   done; also when Ctrl-C ends what runs until it is stopped (seed, a demo that held, events --follow)
  1   failed: it was tried and did not hold
  2   usage: an argument or option is wrong
  3   not found: no such file, cluster or node
  4   unreachable: the control API does not answer
  5   refused: the control API does not allow it, or not now
  6   bad torrent: a .torrent file or magnet link that is damaged, hostile or not supported
  7   this machine: disk full, port in use, permission denied
  8   timeout: what was awaited did not come in time
  9   broken: a run could not be carried out, so it says nothing of its subject
  128+n  ended early by signal n: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP

SKEP_DEBUG=1 adds the stack trace to an error.`;
