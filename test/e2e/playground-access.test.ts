import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeChromium } from '../support/chromium.ts';
import { PlaygroundPage } from '../support/playground-page.ts';
import { ServiceProcess } from '../support/service-process.ts';

const desktop = { width: 1200, height: 800 };
const phone = { width: 390, height: 844 };

describeChromium('the playground', (openPage) => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({ ALTUP_MODELS: 'models/austen-gemma3n,models/austen-t5-dense' });
  });
  afterAll(() => service.stop());

  async function open(options: Parameters<typeof openPage>[1]) {
    const { page } = await openPage(service.url, options);
    const playground = new PlaygroundPage(page);
    await playground.ready();
    return { page, playground };
  }

  it.each([
    ['light', 'desktop', desktop],
    ['dark', 'phone', phone],
  ] as const)('has nothing that axe finds wrong, %s, %s', async (colorScheme, _name, viewport) => {
    const { playground } = await open({ colorScheme, viewport });
    await playground.set({ 'Max tokens': '20', 'System text': '', 'Another server': '' });
    await playground.say('Emma?');
    await playground.set({ Temperature: '9' });
    await playground.say('Jane?');
    await playground.field('Model').selectOption('austen-t5-dense');
    await playground.isAccessible();
    await playground.set({ Temperature: '0' });
    await playground.view('compare');
    await playground.button('Add a model').click();
    await playground.generate();
    await playground.answers('A').locator('.token').first().click();
    await playground.isAccessible();
    await playground.view('perplexity');
    await playground.button('Measure').click();
    await playground.settled('perplexity');
    await playground.isAccessible();
  });

  it('is no wider than its window', async () => {
    const { page, playground } = await open({ viewport: desktop });
    const isNoWider = async () => {
      for (const width of [320, 390, 768, 1200]) {
        await page.setViewportSize({ width, height: 800 });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
      }
    };
    await playground.set({ 'Max tokens': '20' });
    await playground.say('x'.repeat(80));
    await isNoWider();
    await playground.view('compare');
    await playground.button('Add a model').click();
    await playground.button('Add a model').click();
    await playground.generate();
    await isNoWider();
    await playground.view('perplexity');
    await playground.button('Measure').click();
    await playground.settled('perplexity');
    await isNoWider();
  });

  it('is worked with the keyboard alone, in the order it is read, with the focus to be seen', async () => {
    const { page, playground } = await open({ viewport: desktop });
    const stops: string[] = [];
    for (let i = 0; i < 19; i++) {
      await page.keyboard.press('Tab');
      const [name, isSeen] = await page.evaluate<[string, boolean]>(`(() => {
        const { activeElement: it } = document;
        const seen = it.type === 'radio' ? it.nextElementSibling : it.id === 'say' ? it.parentElement : it;
        return [it.labels?.[0]?.innerText ?? it.innerText, getComputedStyle(seen).outlineStyle === 'solid'];
      })()`);
      expect([name, isSeen]).toEqual([name, true]);
      stops.push(name.replace(/\s+/g, ' ').trim());
    }
    expect(stops).toEqual([
      'Chat',
      'Compare',
      'Perplexity',
      'API',
      'Metrics',
      'Sampling',
      'Max tokens',
      'Temperature',
      'Top p',
      'Top k',
      'Min p',
      'Seed',
      'Repetition penalty',
      'Instructions and form',
      'History',
      'Key and servers',
      'Model',
      'Chat',
      'Message',
    ]);
    await page.keyboard.type('Emma?');
    await page.keyboard.press('Shift+Enter');
    expect(await playground.part('say').inputValue()).toBe('Emma?\n');
    await page.keyboard.press('Enter');
    await playground.settled('chat');
    expect(await page.evaluate('document.activeElement.id')).toBe('say');
    await playground.view('compare');
    await playground.field('Prompt').press('Control+Enter');
    await playground.settled('compare');
    expect(await playground.part('status').textContent()).toContain('tokens per second');
    await playground.answers('A').locator('.tokens').focus();
    await page.keyboard.press('ArrowRight');
    expect(await playground.answers('A').locator('.about-token').textContent()).toMatch(/^“/);
  });
});
