/** Actions about one thing, taken one after the other; those about different things go side by side. */
export class Turns {
  /** By thing: when all that was asked for it so far is over. */
  readonly #over = new Map<string, Promise<void>>();

  /** Begins once what was asked for before is over, however that ended; settles as the action does. */
  take<T>(thing: string, action: () => Promise<T>): Promise<T> {
    const before = this.#over.get(thing) ?? Promise.resolve();
    const turn = before.then(action);
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#over.set(thing, over);
    over.then(() => {
      if (this.#over.get(thing) === over) this.#over.delete(thing);
    });
    return turn;
  }
}
