/** Milliseconds after which half of what a client has used is forgotten. */
const halfLifeMs = 120_000;
/** Less than this is as good as nothing. */
const forgottenMs = 1;

/** What clients have used lately of something they share, in milliseconds. */
export class ClientUsage {
  readonly #clock: () => number;
  readonly #used = new Map<string, { ms: number; at: number }>();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  of(client: string): number {
    const used = this.#used.get(client);
    return used === undefined ? 0 : used.ms * 0.5 ** ((this.#clock() - used.at) / halfLifeMs);
  }

  add(client: string, ms: number): void {
    const total = this.of(client) + ms;
    // Moved to the end: those who have used nothing for longest come first.
    this.#used.delete(client);
    this.#used.set(client, { ms: total, at: this.#clock() });
    for (const other of this.#used.keys()) {
      if (this.of(other) >= forgottenMs) break;
      this.#used.delete(other);
    }
  }
}
