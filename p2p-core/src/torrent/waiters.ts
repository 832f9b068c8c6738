/** Promises that wait for a torrent to reach some status. */
import { TorrentError, type TorrentStatus } from './status.ts';

interface Waiter {
  readonly condition: (status: TorrentStatus) => boolean;
  readonly resolve: (status: TorrentStatus) => void;
  readonly reject: (error: TorrentError) => void;
}

export class Waiters {
  readonly #status: () => TorrentStatus;
  readonly #waiting = new Set<Waiter>();

  constructor(status: () => TorrentStatus) {
    this.#status = status;
  }

  add(condition: (status: TorrentStatus) => boolean): Promise<TorrentStatus> {
    return new Promise((resolve, reject) => {
      this.#waiting.add({ condition, resolve, reject });
      this.tell();
    });
  }

  /** The status may have changed: settles those who waited for this, and all if nothing more can come. */
  tell(): void {
    if (this.#waiting.size === 0) return;
    const status = this.#status();
    const isOver = status.state === 'error' || status.state === 'stopped';
    for (const waiter of this.#waiting) {
      if (waiter.condition(status)) waiter.resolve(status);
      else if (isOver) {
        const { code, message } = status.error ?? { code: 'stopped', message: 'The torrent was stopped.' };
        waiter.reject(new TorrentError(code, message));
      } else continue;
      this.#waiting.delete(waiter);
    }
  }
}
