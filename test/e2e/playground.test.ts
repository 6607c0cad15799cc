import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { chatModel } from '../support/chat-model.ts';
import { describeChromium } from '../support/chromium.ts';
import { textEvents } from '../support/fake-engine.ts';
import { fakeServer } from '../support/fake-server.ts';
import { PlaygroundPage } from '../support/playground-page.ts';
import { ServiceProcess } from '../support/service-process.ts';

const altup = 'austen-t5-altup-k2';
const dense = 'austen-t5-dense';
const prompt = 'Emma was not';
const greedy = { Prompt: prompt, 'Max tokens': '40', Temperature: '0' };

describeChromium('the playground', (openPage) => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({ ALTUP_MODELS: `models/${dense},models/${altup}` });
  });
  afterAll(() => service.stop());

  async function open(url = service.url) {
    const opened = await openPage(url);
    const playground = new PlaygroundPage(opened.page);
    await playground.ready();
    return { ...opened, playground };
  }

  const textOf = async (model: string) => {
    const body = { model, prompt, max_tokens: 40, temperature: 0 };
    const answer = await (await service.post('/v1/completions', body)).json();
    return (answer as { choices: { text: string }[] }).choices[0]!.text;
  };

  it('streams a completion, and says how fast it came', async () => {
    const { playground, page, strayRequests, errors } = await open();
    expect(await playground.chosen('A')).toBe(altup);
    await playground.generate(greedy);
    expect(await playground.part('A', 'text').textContent()).toBe(prompt + (await textOf(altup)));
    expect(await playground.part('A', 'tokens').textContent()).toBe('40');
    expect(await playground.part('A', 'first').textContent()).toMatch(/^[\d.]+ m?s$/);
    expect(await playground.part('A', 'rate').textContent()).toMatch(/^[\d,.]+$/);
    expect(await page.getByRole('status').textContent()).toMatch(
      /^austen-t5-altup-k2: Reached max tokens\. 40 tokens, first after .* m?s, [\d,.]+ tokens per second\.$/,
    );
    expect(strayRequests).toEqual([]);
    expect(errors).toEqual([]);
  });

  it('compares a model with its baseline, both streaming at once', async () => {
    const { playground, page, errors } = await open();
    await playground.compare();
    expect(await playground.chosen('B')).toBe(dense);
    await playground.field('Max tokens').fill('400');
    await page.evaluate(`new MutationObserver(() => {
      const writing = document.querySelectorAll('[data-state=writing]').length;
      window.mostWriting = Math.max(window.mostWriting ?? 0, writing);
    }).observe(document, { subtree: true, attributeFilter: ['data-state'] })`);
    await playground.generate({ Temperature: '0' });
    expect(await page.evaluate('window.mostWriting')).toBe(2);
    await playground.generate(greedy);
    expect(await playground.part('A', 'text').textContent()).toBe(prompt + (await textOf(altup)));
    expect(await playground.part('B', 'text').textContent()).toBe(prompt + (await textOf(dense)));
    expect(await page.locator('.verdict').textContent()).toMatch(
      /^A wrote [\d.]+× as many tokens per second as B; /,
    );
    expect(errors).toEqual([]);
  });

  it.each([
    ['the Stop button', (playground: PlaygroundPage) => playground.button('Stop').click()],
    ['the Escape key', (playground: PlaygroundPage) => playground.page.keyboard.press('Escape')],
  ])('%s stops the stream, also in the service', async (_name, stop) => {
    const { app, engine } = fakeServer();
    onTestFinished(() => app.close());
    engine.script = (request) => textEvents(request, 'endless').slice(0, -1);
    const { playground } = await open(await app.listen({ host: '127.0.0.1', port: 0 }));
    await playground.field('Prompt').fill('It');
    await playground.field('Max tokens').fill('9');
    await playground.button('Generate').click();
    await playground.lane('A').getByText('endless').waitFor();
    await stop(playground);
    await playground.settled();
    expect(await playground.part('A', 'state').textContent()).toBe('Stopped');
    expect(await playground.part('A', 'error').textContent()).toBe('');
    await expect.poll(() => engine.aborted).toHaveLength(1);
  });

  it('shows an error in full and marks the field', async () => {
    const { playground } = await open();
    await playground.generate({ Temperature: 'hot' });
    const error = playground.lane('A').getByRole('alert');
    expect(await error.textContent()).toContain('`temperature` must be a number from 0 to 2');
    expect(await error.textContent()).toContain('Change temperature and try again.');
    expect(await error.locator('dt').allTextContents()).toEqual(['code', 'param', 'status', 'request id']);
    expect(await error.locator('dd').allTextContents()).toEqual([
      'invalid_request',
      'temperature',
      '400',
      expect.stringMatching(/^\S{36}$/),
    ]);
    expect(await playground.field('Temperature').getAttribute('aria-invalid')).toBe('true');
    await playground.generate(greedy);
    expect(await playground.field('Temperature').getAttribute('aria-invalid')).toBe('false');
    expect(await playground.lane('A').getByRole('alert').textContent()).toBe('');
  });

  it('says when the service is gone', async () => {
    const short = await ServiceProcess.start({ ALTUP_MODELS: `models/${dense}` });
    const { playground } = await open(short.url);
    await short.stop();
    await playground.generate();
    expect(await playground.lane('A').getByRole('alert').textContent()).toContain(
      'The service does not answer.',
    );
  });

  describe('a chat', () => {
    it('is not offered for a model without a template', async () => {
      const { playground, page } = await open();
      expect(await playground.field('Chat').isDisabled()).toBe(true);
      expect(await page.getByText(`${altup} has no chat template`).isVisible()).toBe(true);
    });

    it('goes on from what was said, until it is begun anew', async () => {
      const chatting = await ServiceProcess.start({ ALTUP_MODELS: await chatModel('talker') });
      onTestFinished(async () => void (await chatting.stop()));
      const { playground, page } = await open(chatting.url);
      const asked: { role: string; content: string }[][] = [];
      page.on('request', (request) => {
        if (request.url().endsWith('/v1/chat/completions')) asked.push(request.postDataJSON().messages);
      });
      await page.getByText('Chat', { exact: true }).click();
      await playground.generate({ ...greedy, Prompt: 'Who is Emma?', 'Max tokens': '12' });
      const answer = await playground.part('A', 'answer').textContent();
      expect(answer).not.toBe('');
      expect(await playground.field('Prompt').inputValue()).toBe('');
      await playground.generate({ Prompt: 'And Harriet?' });
      expect(asked[1]).toEqual([
        { role: 'user', content: 'Who is Emma?' },
        { role: 'assistant', content: answer },
        { role: 'user', content: 'And Harriet?' },
      ]);
      await playground.button('New chat').click();
      expect(await playground.part('A', 'text').textContent()).toBe('');
      await playground.generate({ Prompt: 'And Jane?' });
      expect(asked[2]).toEqual([{ role: 'user', content: 'And Jane?' }]);
    });
  });
});
