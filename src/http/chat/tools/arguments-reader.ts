/** Turns the written arguments of a call into JSON, piece by piece. */
export interface ArgumentsReader {
  /** @returns the JSON that `text` completes, and what of `text` comes after the arguments; null: they go on */
  add(text: string): { json: string; rest: string | null };
}

/** Finds where a JSON object ends. */
export class JsonReader implements ArgumentsReader {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  add(text: string): { json: string; rest: string | null } {
    for (let at = 0; at < text.length; at++) {
      const character = text[at];
      if (this.#isEscaped) this.#isEscaped = false;
      else if (character === '"') this.#isInString = !this.#isInString;
      else if (this.#isInString) this.#isEscaped = character === '\\';
      else if (character === '{') this.#depth += 1;
      else if (character === '}') {
        this.#depth -= 1;
        if (this.#depth === 0) return { json: text.slice(0, at + 1), rest: text.slice(at + 1) };
      }
    }
    return { json: text, rest: null };
  }
}

/**
 * Turns FunctionGemma's arguments into JSON, up to the brace that ends them. It writes
 * `count:1,city:<escape>Bath<escape>,tags:[<escape>a<escape>],at:{x:1}`: strings between escape tokens, names without
 * quotes, and numbers and literals as in JSON.
 */
export class EscapedReader implements ArgumentsReader {
  #held = '';
  #isBegun = false;
  #state: 'name' | 'value' | 'string' = 'name';
  readonly #open: string[] = ['}'];
  readonly #quote: string;

  /** @param quote the escape token in the text */
  constructor(quote: string) {
    this.#quote = quote;
  }

  add(text: string): { json: string; rest: string | null } {
    this.#held += text;
    let json = this.#isBegun ? '' : '{';
    this.#isBegun = true;
    for (let part = this.#next(); part !== null; part = this.#next()) {
      json += part;
      if (this.#open.length === 0) return { json, rest: this.#held };
    }
    return { json, rest: null };
  }

  /** The next part as JSON; null: more text must come first. */
  #next(): string | null {
    if (this.#state === 'string') return this.#nextOfString();
    const character = this.#held[0];
    if (character === undefined) return null;
    if (character === '}' || character === ']') {
      this.#open.pop();
      // The last brace belongs to what comes after the arguments.
      if (this.#open.length === 0) return '}';
      this.#state = 'value';
      return this.#take(1);
    }
    if (this.#state === 'name') {
      const end = this.#held.indexOf(':');
      if (end < 0) return null;
      this.#state = 'value';
      return `${JSON.stringify(this.#take(end + 1).slice(0, -1))}:`;
    }
    if (character === this.#quote[0]) {
      if (this.#held.length < this.#quote.length) return null;
      this.#take(this.#quote.length);
      this.#state = 'string';
      return '"';
    }
    if (character === '{' || character === '[') this.#open.push(character === '{' ? '}' : ']');
    if (character === '{' || (character === ',' && this.#open.at(-1) === '}')) this.#state = 'name';
    return this.#take(1);
  }

  #nextOfString(): string | null {
    const end = this.#held.indexOf(this.#quote);
    if (end === 0) {
      this.#take(this.#quote.length);
      this.#state = 'value';
      return '"';
    }
    // What may be the beginning of an escape token waits.
    const begun = this.#held.lastIndexOf(this.#quote[0]!);
    const isOpen = begun >= 0 && this.#quote.startsWith(this.#held.slice(begun));
    const length = end > 0 ? end : isOpen ? begun : this.#held.length;
    return length === 0 ? null : JSON.stringify(this.#take(length)).slice(1, -1);
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}
