import axe, { type AxeResults } from 'axe-core';
import type { Locator, Page } from 'playwright-core';
import { expect } from 'vitest';

type View = 'chat' | 'compare' | 'perplexity';

/** What starts the work of each view. */
const starts = { chat: 'send', compare: 'generate', perplexity: 'measure' };

/** The page at `/` as its user sees and operates it. */
export class PlaygroundPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Resolves when the models are listed. */
  async ready(): Promise<void> {
    await this.page.locator('option').first().waitFor({ state: 'attached' });
  }

  async view(name: View): Promise<void> {
    await this.page.locator(`[data-part=to-${name}]`).click();
  }

  field(label: string): Locator {
    return this.page.getByLabel(label, { exact: true });
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  part(name: string): Locator {
    return this.page.locator(`[data-part=${name}]`).first();
  }

  /** Fills in settings, which a phone has behind a button. */
  async set(settings: Record<string, string>): Promise<void> {
    const toggle = this.button('Settings');
    const isPhone = await toggle.isVisible();
    if (isPhone) await toggle.click();
    for (const [label, value] of Object.entries(settings)) {
      const group = this.page.locator('details:not([open])').filter({ has: this.field(label) });
      if ((await group.count()) > 0) await group.locator('summary').click();
      await this.field(label).fill(value);
    }
    if (isPhone) await toggle.click();
  }

  async open(group: string): Promise<void> {
    await this.page.locator('summary', { hasText: group }).click();
  }

  /** Resolves when the work of a view has ended, in any way. */
  async settled(view: View): Promise<void> {
    await this.part(starts[view]).waitFor();
  }

  /** The turns of the conversation. */
  get turns(): Locator {
    return this.page.locator('.turn');
  }

  async say(text: string): Promise<void> {
    await this.part('say').fill(text);
    await this.part('send').click();
    await this.settled('chat');
  }

  /** The answers of a lane, one for each prompt. */
  answers(letter: string): Locator {
    return this.page.locator(`[data-part=answers] [data-lane=${letter}]`);
  }

  async generate(prompt?: string): Promise<void> {
    if (prompt !== undefined) await this.field('Prompt').fill(prompt);
    await this.button('Generate').click();
    await this.settled('compare');
  }

  /** The rows of a table, each with its cells. */
  async table(body: 'summary' | 'score-table'): Promise<string[][]> {
    const rows = await this.part(body).locator('tr').all();
    return Promise.all(rows.map((row) => row.locator('th, td').allTextContents()));
  }

  /** Expects that axe finds nothing wrong. */
  async isAccessible(): Promise<void> {
    await this.page.evaluate(axe.source);
    const { violations, passes } = await this.page.evaluate<AxeResults>('axe.run()');
    expect(passes.length).toBeGreaterThan(15);
    const lines = violations.flatMap(({ id, impact, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${impact} ${id}: ${html}: ${failureSummary}`),
    );
    expect(lines).toEqual([]);
  }
}
