/** Threads for work that would hold up the main one. Started when first needed, and no reason to stay alive. */
import { Worker } from 'node:worker_threads';
import { HostError } from '../host.ts';
import type { Job, JobResult, Reply } from './payload-worker.ts';

/** A job beside the one at work, so that a thread goes from one to the next without waiting for us. */
const JOBS_A_WORKER = 2;

interface Pending {
  readonly id: number;
  readonly job: Job;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: Error) => void;
}

interface Member {
  readonly worker: Worker;
  readonly jobs: Map<number, Pending>;
}

export class WorkerPool {
  readonly size: number;
  readonly #members = new Set<Member>();
  #waiting: Pending[] = [];
  #nextId = 0;
  #closed = false;

  constructor(size: number) {
    this.size = size;
  }

  /** Thread ids of the workers alive now. */
  get threadIds(): number[] {
    return [...this.#members].map(({ worker }) => worker.threadId);
  }

  /** Runs `job` on some thread. Rejects with the error of the system, its `code` kept; io if the thread dies. */
  run(job: Job): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new HostError('closed', 'the Host was closed; make a new one'));
      this.#waiting.push({ id: this.#nextId++, job, resolve, reject });
      this.#assign();
    });
  }

  /** Ends all threads at once; jobs under way reject with closed. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new HostError('closed', 'the Host was closed while this was under way');
    for (const pending of this.#waiting.splice(0)) pending.reject(error);
    const members = [...this.#members];
    await Promise.all(members.map((member) => this.#end(member, error)));
  }

  /** Ends one thread as a crash would, for tests of what follows. */
  async kill(threadId: number): Promise<void> {
    for (const { worker } of this.#members) if (worker.threadId === threadId) await worker.terminate();
  }

  #assign(): void {
    while (this.#waiting.length > 0) {
      const member = this.#leastBusy();
      if (member === undefined) return;
      const pending = this.#waiting.shift()!;
      if (member.jobs.size === 0) member.worker.ref();
      member.jobs.set(pending.id, pending);
      member.worker.postMessage({ id: pending.id, job: pending.job });
    }
  }

  #leastBusy(): Member | undefined {
    let best: Member | undefined;
    for (const member of this.#members)
      if (best === undefined || member.jobs.size < best.jobs.size) best = member;
    if (best?.jobs.size === 0) return best;
    if (this.#members.size < this.size) return this.#start();
    return best !== undefined && best.jobs.size < JOBS_A_WORKER ? best : undefined;
  }

  #start(): Member {
    // The extension is the one this file has: .ts from the sources, .js as published.
    const file = import.meta.url.replace(/worker-pool(\.[a-z]+).*$/, 'payload-worker$1');
    const worker = new Worker(new URL(file), { name: 'skep-payload', execArgv: [], stdin: false });
    worker.unref();
    const member: Member = { worker, jobs: new Map() };
    worker.on('message', (reply: Reply) => this.#finished(member, reply));
    worker.on('error', (error) => void this.#end(member, lost(error)));
    worker.on('exit', () => void this.#end(member, lost(undefined)));
    this.#members.add(member);
    return member;
  }

  #finished(member: Member, reply: Reply): void {
    const pending = member.jobs.get(reply.id);
    if (pending === undefined) return;
    member.jobs.delete(reply.id);
    if (member.jobs.size === 0) member.worker.unref();
    if ('result' in reply) pending.resolve(reply.result);
    else pending.reject(Object.assign(new Error(reply.message), { code: reply.code }));
    this.#assign();
  }

  async #end(member: Member, error: Error): Promise<void> {
    this.#members.delete(member);
    const jobs = [...member.jobs.values()];
    member.jobs.clear();
    // Only once the thread is gone may its descriptors and memory be used for something else.
    await member.worker.terminate();
    for (const pending of jobs) pending.reject(error);
    if (!this.#closed) this.#assign();
  }
}

function lost(cause: unknown): HostError {
  return new HostError('io', 'the thread that did this work died; try again', { cause });
}
