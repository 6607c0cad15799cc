/** A response and the conversation that it answers, as JSON. */
export interface StoredResponse {
  response: Buffer;
  /** The list of items, earlier turns included. */
  input: Buffer;
  /** Ids of the items of its output. */
  itemIds: readonly string[];
}

/** Counted for each response in addition to its JSON, so that the limit bounds their number too. */
const overheadBytes = 1024;

const bytesOf = ({ response, input }: StoredResponse) => response.length + input.length + overheadBytes;

/** What one client has stored. */
class Shelf {
  bytes = 0;
  /** By id, least recently used first. */
  readonly responses = new Map<string, StoredResponse>();
  /** The response with each item of an output, by ids. */
  readonly holders = new Map<string, string>();

  take(id: string): StoredResponse | null {
    const stored = this.responses.get(id);
    if (!stored) return null;
    this.responses.delete(id);
    for (const item of stored.itemIds) this.holders.delete(item);
    this.bytes -= bytesOf(stored);
    return stored;
  }

  put(id: string, stored: StoredResponse): void {
    this.take(id);
    this.responses.set(id, stored);
    for (const item of stored.itemIds) this.holders.set(item, id);
    this.bytes += bytesOf(stored);
  }
}

/**
 * Responses in memory, for each client apart: no client can read another's. When they exceed the limit, the client that
 * holds the most loses its least recently used one.
 */
export class ResponseStore {
  readonly #limitBytes: number;
  readonly #shelves = new Map<string, Shelf>();

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** @returns whether it is kept: not if its client holds the most with it, and nothing older */
  add(client: string, id: string, stored: StoredResponse): boolean {
    if (bytesOf(stored) > this.#limitBytes) return false;
    const shelf = this.#shelves.get(client) ?? new Shelf();
    this.#shelves.set(client, shelf);
    shelf.put(id, stored);
    while (this.#bytes > this.#limitBytes) this.#dropOldest();
    return shelf.responses.has(id);
  }

  /** Finding a response counts as using it. @returns null if the client has none of this id */
  get(client: string, id: string): StoredResponse | null {
    const shelf = this.#shelves.get(client);
    const stored = shelf?.take(id) ?? null;
    if (stored) shelf!.put(id, stored);
    return stored;
  }

  /** The id of the response whose output has an item; null if the client has none. */
  holderOf(client: string, item: string): string | null {
    return this.#shelves.get(client)?.holders.get(item) ?? null;
  }

  /** @returns whether there was one */
  delete(client: string, id: string): boolean {
    const shelf = this.#shelves.get(client);
    const stored = shelf?.take(id) ?? null;
    if (shelf?.responses.size === 0) this.#shelves.delete(client);
    return stored !== null;
  }

  get #bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#shelves.values()) sum += bytes;
    return sum;
  }

  #dropOldest(): void {
    const [client, shelf] = [...this.#shelves].reduce((most, each) =>
      each[1].bytes > most[1].bytes ? each : most,
    );
    this.delete(client, shelf.responses.keys().next().value!);
  }
}
