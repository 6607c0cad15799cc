import type { Locator, Page } from 'playwright-core';

/** The playground as its user sees and operates it. */
export class PlaygroundPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Resolves when the models are listed. */
  async ready(): Promise<void> {
    await this.page.locator('option').first().waitFor({ state: 'attached' });
  }

  field(label: string): Locator {
    return this.page.getByLabel(label, { exact: true });
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name });
  }

  /** The area in which the model's text appears. */
  lane(letter: 'A' | 'B'): Locator {
    return this.page.locator(`.lane[data-lane=${letter}]`);
  }

  part(letter: 'A' | 'B', name: string): Locator {
    return this.lane(letter).locator(`[data-part=${name}]`);
  }

  /** The model chosen for a lane. */
  chosen(letter: 'A' | 'B'): Promise<string> {
    return this.page.locator(`[data-part=model-${letter}]`).inputValue();
  }

  async compare(): Promise<void> {
    await this.page.getByText('Compare two').click();
  }

  /** Resolves when the request is answered, with any answer. */
  async settled(): Promise<void> {
    await this.page.locator('[data-part=generate]').waitFor();
  }

  async generate(settings: Record<string, string> = {}): Promise<void> {
    for (const [label, value] of Object.entries(settings)) await this.field(label).fill(value);
    await this.button('Generate').click();
    await this.settled();
  }
}
