/** Work handed to processes of one program, so that it uses as many cores as it is given. */
import { type ChildProcess, fork } from 'node:child_process';

/** In place of an answer: the process ended. */
export class Ended extends Error {
  constructor(code: number | null) {
    super(`the process ended with code ${code}`);
  }
}

/**
 * Starts `jobs` processes of `program`, a path, which answers each message with one; sends what `next` gives until
 * that is undefined, and tells `judge` of each answer. A process that ends is an answer too, and is started anew.
 */
export async function inProcesses<Ask extends object, Answer>(
  program: string,
  jobs: number,
  next: () => Ask | undefined,
  judge: (ask: Ask, answer: Answer | Ended) => void,
): Promise<void> {
  const work = async () => {
    let child = fork(program);
    for (let ask = next(); ask !== undefined; ask = next()) {
      judge(ask, await answerOf<Answer>(child, ask));
      if (!child.connected) child = fork(program);
    }
    child.disconnect();
  };
  await Promise.all(Array.from({ length: jobs }, work));
}

function answerOf<Answer>(child: ChildProcess, ask: object): Promise<Answer | Ended> {
  return new Promise((resolve) => {
    const ended = (code: number | null) => {
      child.off('message', answered);
      resolve(new Ended(code));
    };
    const answered = (answer: unknown) => {
      child.off('exit', ended);
      resolve(answer as Answer);
    };
    child.once('message', answered);
    child.once('exit', ended);
    child.send(ask);
  });
}
