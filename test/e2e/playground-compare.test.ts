import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { describeChromium } from '../support/chromium.ts';
import { fakeServer } from '../support/fake-server.ts';
import { PlaygroundPage } from '../support/playground-page.ts';
import { ServiceProcess } from '../support/service-process.ts';

const models = ['austen-gemma3n', 'austen-gemma3', 'austen-t5-dense', 'austen-t5-altup-k2'];
const greedy = { 'Max tokens': '24', Temperature: '0' };

describeChromium('the playground’s comparison', (openPage) => {
  let service: ServiceProcess;
  let other: ServiceProcess;
  beforeAll(async () => {
    other = await ServiceProcess.start({
      ALTUP_MODELS: 'models/austen-t5-dense',
      ALTUP_CORS_ORIGINS: '*',
      ALTUP_API_KEYS: 'sk-0123456789-of-the-other',
    });
    service = await ServiceProcess.start({
      ALTUP_MODELS: models.map((each) => `models/${each}`).join(','),
      ALTUP_PLAYGROUND_ORIGINS: other.url,
    });
  });
  afterAll(() => Promise.all([service.stop(), other.stop()]));

  async function open(view: 'compare' | 'perplexity' = 'compare', url = service.url) {
    const opened = await openPage(url, {}, [other.url]);
    const playground = new PlaygroundPage(opened.page);
    await playground.ready();
    await playground.view(view);
    return { ...opened, playground };
  }

  async function textOf(model: string, prompt: string) {
    const answer = await service.post('/v1/completions', { model, prompt, max_tokens: 24, temperature: 0 });
    return ((await answer.json()) as { choices: { text: string }[] }).choices[0]!.text;
  }

  it('of four models has the text of each, its speed, its shades, and where they part', async () => {
    const { playground, page, errors, strayRequests } = await open();
    await playground.button('Add a model').click();
    await playground.button('Add a model').click();
    expect(await playground.button('Add a model').isVisible()).toBe(false);
    const chosen = ['A', 'B', 'C', 'D'].map((letter) => playground.field(`Model ${letter}`).inputValue());
    const ids = await Promise.all(chosen);
    expect(ids).toEqual(models);
    await playground.set(greedy);
    await playground.generate('Emma was not');
    const texts = await Promise.all(ids.map((id) => textOf(id, 'Emma was not')));
    for (const [i, letter] of ['A', 'B', 'C', 'D'].entries()) {
      const answer = playground.answers(letter);
      expect(await answer.locator('.tokens').textContent()).toBe(texts[i]);
      expect(await answer.locator('[data-shade]').count()).toBe(24);
      expect(await answer.locator('.parts').count()).toBe(1);
    }
    const rows = await playground.table('summary');
    expect(rows[1]!.slice(1)).toEqual([
      expect.stringMatching(/^[\d.]+ m?s$/),
      expect.stringMatching(/^[\d,.]+$/),
      expect.stringMatching(/^\d+\.\d\d×$/),
      '24',
      expect.stringMatching(/^-\d\.\d\d$/),
    ]);
    for (const row of rows) expect(Number(row[2]!.replace(',', ''))).toBeLessThan(5000);
    const note = String(await page.locator('[data-part=parting]').last().textContent());
    expect(note).toMatch(/^The answers (part at once|are the same for \d+ tokens?, then they part)\.$/);
    await playground.answers('A').locator('.token').nth(3).click();
    expect(await playground.answers('A').locator('.about-token').textContent()).toMatch(
      /^“.+” .+ %; instead: “/,
    );
    await playground.button('Remove D, austen-t5-altup-k2').click();
    expect(await page.locator('[data-part=heads] > *').count()).toBe(3);
    expect([errors, strayRequests]).toEqual([[], []]);
  });

  it('says when all answers are the same, and runs models in turn', async () => {
    const { playground, page } = await open();
    await playground.field('Model B').selectOption('austen-gemma3n');
    await playground.set(greedy);
    await page.getByText('In turn', { exact: true }).click();
    await playground.generate('Emma was not');
    await page.getByText('All answers are the same.').waitFor();
    expect(await playground.part('how-measured').textContent()).toBe(
      'Timed by the servers. Each model ran alone.',
    );
  });

  it('of prompts from a file answers each, and adds up the figures', async () => {
    const { playground, page } = await open();
    await playground.set(greedy);
    const lines = ['Emma was', 'Jane was', 'Anne was'].map((prompt) => JSON.stringify({ prompt }));
    const file = (name: string, text: string) => ({
      name,
      mimeType: 'text/plain',
      buffer: Buffer.from(text),
    });
    await playground.part('file').setInputFiles(file('empty.txt', ' \n'));
    await playground.part('compare-error').getByText('This file has no prompts.').waitFor();
    await playground.part('file').setInputFiles(file('prompts.jsonl', lines.join('\n')));
    await playground.page.getByText('3 prompts from prompts.jsonl: Emma was …').waitFor();
    await playground.generate();
    expect(await page.locator('.row > .prompt').allTextContents()).toEqual([
      'Emma was',
      'Jane was',
      'Anne was',
    ]);
    expect((await playground.table('summary')).map((row) => row[4])).toEqual(['72', '72']);
    await playground.button('Remove the file').click();
    await playground.field('One prompt a line').check();
    await playground.generate('One\nTwo');
    expect(await page.locator('.row').count()).toBe(2);
  });

  it('shows an error at its model, and marks the field', async () => {
    const { playground, page } = await open();
    await playground.set({ 'Top p': '7' });
    await playground.generate('Emma was');
    for (const letter of ['A', 'B'])
      expect(await playground.answers(letter).getByRole('alert').textContent()).toContain('Top p must be');
    expect(await playground.field('Top p').getAttribute('aria-invalid')).toBe('true');
    await playground.set({ 'Top p': '' });
    await page.locator('[data-part=compare-form]').getByText('Chat', { exact: true }).click();
    await playground.field('Model B').selectOption('austen-t5-dense');
    await playground.generate('Emma was');
    expect(await playground.answers('B').getByRole('alert').textContent()).toContain('it cannot chat');
    expect(await playground.answers('A').locator('.tokens').textContent()).not.toBe('');
  });

  describe('with another server', () => {
    const add = async (playground: PlaygroundPage, address: string, key = '') => {
      await playground.set({ 'Another server': address, 'Its key': key });
      await playground.button('Add server').click();
    };

    it('has its models, asked with its own key', async () => {
      const { playground, page } = await open();
      await add(playground, `${other.url}/v1`);
      await playground.part('server-error').getByText('The service needs an API key.').waitFor();
      await add(playground, `${other.url}/v1`, 'sk-0123456789-of-the-other');
      const { host } = new URL(other.url);
      await playground.button(`Remove ${host}`).waitFor();
      await playground.field('Model A').selectOption('austen-t5-dense');
      await playground.field('Model B').selectOption(`${host} austen-t5-dense`);
      await playground.set(greedy);
      await playground.generate('Emma was not');
      await page.getByText('All answers are the same.').waitFor();
      expect((await playground.table('summary'))[1]![0]).toBe(`B austen-t5-dense at ${host}`);
    });

    it('says what a server needs that this page may not call', async () => {
      const { app } = fakeServer();
      onTestFinished(() => app.close());
      const { playground } = await open('compare', await app.listen({ host: '127.0.0.1', port: 0 }));
      await add(playground, other.url);
      await playground
        .part('server-error')
        .getByText('That server cannot be reached from this page.')
        .waitFor();
      expect(await playground.part('server-error').textContent()).toContain('ALTUP_PLAYGROUND_ORIGINS');
      await add(playground, 'nowhere');
      await playground.part('server-error').getByText('This is not the address of a server.').waitFor();
    });
  });

  it('measures the perplexity of a text for decoders and encoder-decoders', async () => {
    const { playground } = await open('perplexity');
    await playground.field('Model B').selectOption('austen-t5-dense');
    await playground.button('Measure').click();
    await playground.settled('perplexity');
    const rows = await playground.table('score-table');
    for (const [, perplexity, bits, tokens] of rows) {
      expect(Number(perplexity)).toBeGreaterThan(1);
      expect(Number(perplexity)).toBeLessThan(200);
      expect(Number(bits)).toBeLessThan(4);
      expect(Number(tokens)).toBeGreaterThan(50);
    }
    const text = await playground.part('scored-text').inputValue();
    expect(await playground.page.locator('[data-part=score-texts] .tokens').allTextContents()).toEqual([
      text,
      text,
    ]);
    await playground.part('context-text').fill('');
    await playground.button('Measure').click();
    await playground.page.getByText('This model needs a context.').waitFor();
  });

  describe('the strip', () => {
    it('shows what the service does', async () => {
      const { playground } = await open();
      await expect.poll(() => playground.part('strip-running').textContent()).toBe('0');
      await playground.set({ 'Max tokens': '400', Temperature: '1' });
      await playground.generate('Emma was not');
      await expect
        .poll(async () => Number((await playground.part('strip-rate').textContent())!.replace(',', '')), {
          timeout: 10_000,
        })
        .toBeGreaterThan(0);
    });

    it('says calmly that the metrics cannot be read', async () => {
      const { page, playground } = await open();
      await page.route('**/metrics', (route) => route.fulfill({ status: 403, body: 'no' }));
      await page.reload();
      await playground
        .part('strip-note')
        .getByText('No live figures: /metrics is not open to this page.')
        .waitFor();
      expect(await playground.part('strip').isVisible()).toBe(false);
      expect(await playground.part('service-error').textContent()).toBe('');
    });
  });
});
