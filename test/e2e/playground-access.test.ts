import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeChromium } from '../support/chromium.ts';
import { PlaygroundPage } from '../support/playground-page.ts';
import { ServiceProcess } from '../support/service-process.ts';

const desktop = { width: 1200, height: 800 };
const phone = { width: 390, height: 844 };

/** The violations that axe finds on a page, as lines. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const { violations, passes } = await page.evaluate<AxeResults>('axe.run()');
  expect(passes.length).toBeGreaterThan(20);
  return violations.flatMap(({ id, impact, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${impact} ${id}: ${html}: ${failureSummary}`),
  );
}

describeChromium('the playground', (openPage) => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({
      ALTUP_MODELS: 'models/austen-t5-dense,models/austen-t5-altup-k2',
    });
  });
  afterAll(() => service.stop());

  async function open(options: Parameters<typeof openPage>[1]) {
    const { page } = await openPage(service.url, options);
    const playground = new PlaygroundPage(page);
    await playground.ready();
    return { page, playground };
  }

  describe.each(['light', 'dark'] as const)('%s', (colorScheme) => {
    it.each([
      ['desktop', desktop],
      ['phone', phone],
    ])('has nothing that axe finds wrong, %s', async (_name, viewport) => {
      const { page, playground } = await open({ colorScheme, viewport });
      expect(await violations(page)).toEqual([]);
      await playground.generate({ 'Max tokens': '20' });
      expect(await violations(page)).toEqual([]);
      await playground.compare();
      await playground.generate();
      expect(await violations(page)).toEqual([]);
      await playground.generate({ Temperature: '9' });
      expect(await violations(page)).toEqual([]);
    });
  });

  it.each([320, 390, 768, 1200])('is no wider than a window of %i pixels', async (width) => {
    const { page, playground } = await open({ viewport: { width, height: 800 } });
    await playground.compare();
    await playground.generate({ 'Max tokens': '20' });
    await playground.generate({ Temperature: 'x'.repeat(80) });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
  });

  it('is worked with the keyboard alone, in the order it is read, with the focus to be seen', async () => {
    const { page, playground } = await open({ viewport: desktop });
    const stops: string[] = [];
    for (let i = 0; i < 13; i++) {
      await page.keyboard.press('Tab');
      const [name, isSeen] = await page.evaluate<[string, boolean]>(`(() => {
        const { activeElement: it } = document;
        const seen = it.type === 'radio' ? it.nextElementSibling : it;
        return [it.labels?.[0]?.innerText ?? it.innerText, getComputedStyle(seen).outlineStyle === 'solid'];
      })()`);
      expect([name, isSeen]).toEqual([name, true]);
      stops.push(name.replace(/\s+/g, ' ').trim());
      if (name === 'One model') await page.keyboard.press('ArrowRight');
    }
    expect(stops).toEqual([
      'API',
      'Metrics',
      'API key',
      'One model',
      'Completion',
      'Model A',
      'Model B',
      'Prompt',
      'Max tokens',
      'Temperature',
      'Top p',
      'Seed',
      'Generate',
    ]);
    await page.keyboard.press('Enter');
    await playground.settled();
    expect(await playground.part('B', 'text').textContent()).not.toBe('');
    const focused = 'document.activeElement.dataset.part';
    expect(await page.evaluate(focused)).toBe('generate');
    await playground.field('Prompt').focus();
    await playground.field('Temperature').fill('0');
    await playground.field('Prompt').press('Control+Enter');
    await playground.settled();
    expect(await page.getByRole('status').textContent()).toContain('tokens per second');
  });
});
