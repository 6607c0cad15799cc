/**
 * Prompt tokens that were not computed for an answer. Each prompt counts once, as in `prompt_tokens`, with the choice
 * that found the least: what the others took over from it was computed for this answer.
 */
export class CachedTokens {
  readonly #choices: number;
  readonly #byPrompt = new Map<number, number>();

  /** @param choices sequences of each prompt, which follow one another */
  constructor(choices: number) {
    this.#choices = choices;
  }

  take(index: number, tokens: number): void {
    const prompt = Math.floor(index / this.#choices);
    this.#byPrompt.set(prompt, Math.min(tokens, this.#byPrompt.get(prompt) ?? tokens));
  }

  get total(): number {
    return [...this.#byPrompt.values()].reduce((sum, tokens) => sum + tokens, 0);
  }
}
