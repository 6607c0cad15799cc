import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { describeChromium } from '../support/chromium.ts';
import { textEvents } from '../support/fake-engine.ts';
import { fakeServer } from '../support/fake-server.ts';
import { PlaygroundPage } from '../support/playground-page.ts';
import { ServiceProcess } from '../support/service-process.ts';

const talker = 'austen-gemma3n';
const mute = 'austen-t5-dense';
const greedy = { 'Max tokens': '12', Temperature: '0' };

describeChromium('the playground’s chat', (openPage) => {
  let service: ServiceProcess;
  beforeAll(async () => {
    service = await ServiceProcess.start({ ALTUP_MODELS: `models/${talker},models/${mute}` });
  });
  afterAll(() => service.stop());

  async function open(url = service.url, options: Parameters<typeof openPage>[1] = {}) {
    const opened = await openPage(url, options);
    const playground = new PlaygroundPage(opened.page);
    await playground.ready();
    const asked: Record<string, unknown>[] = [];
    opened.page.on('request', (request) => {
      if (request.url().endsWith('completions')) asked.push(request.postDataJSON());
    });
    return { ...opened, playground, asked };
  }

  /** A service whose model answers what a test says, one character a token. */
  async function scripted(answer: string, isWhole = true) {
    const { app, engine } = fakeServer();
    onTestFinished(() => app.close());
    engine.script = (request) => textEvents(request, answer).slice(0, isWhole ? undefined : -1);
    const opened = await open(await app.listen({ host: '127.0.0.1', port: 0 }));
    await opened.playground.set({ 'Max tokens': '9' });
    return { engine, ...opened };
  }

  it('goes on for five turns on a phone, with the answer in view', async () => {
    const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
    const { playground, page, asked, strayRequests, errors } = await open(service.url, phone);
    await playground.set({ ...greedy, 'Max tokens': '40', 'System text': 'Be kind.' });
    for (const [i, prompt] of ['Emma?', 'Jane?', 'Harriet?', 'Anne?', 'Fanny?'].entries()) {
      await playground.say(prompt);
      expect(await playground.turns.count()).toBe(i + 1);
      const answer = (await playground.turns.last().locator('.answered').boundingBox())!;
      const composer = (await playground.part('chat-form').boundingBox())!;
      expect(answer.y + answer.height).toBeLessThanOrEqual(composer.y + 1);
      expect(composer.y + composer.height).toBeGreaterThan(842);
    }
    const messages = asked[4]!.messages as { role: string }[];
    expect(messages.map(({ role }) => role).join(' ')).toBe(`system${' user assistant'.repeat(4)} user`);
    expect(await playground.part('context').textContent()).toMatch(
      /^Context: \d+ of 512 tokens used, \d+ left$/,
    );
    expect(await page.getByRole('status').last().textContent()).toMatch(
      /^austen-gemma3n: 40 tokens(, \d+ guessed)? · first after .* · [\d,.]+ tokens\/s · Reached max tokens\.$/,
    );
    expect([strayRequests, errors]).toEqual([[], []]);
  });

  it('is regenerated, edited, copied and begun anew', async () => {
    const { playground, page, asked } = await open();
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await playground.set(greedy);
    await playground.say('Emma?');
    const answer = String(await playground.turns.first().locator('.text').textContent());
    await playground.button('Copy').last().click();
    await playground.button('Copied').waitFor();
    expect(String(await page.evaluate('navigator.clipboard.readText()')).trim()).toBe(answer.trim());
    await playground.say('Jane?');
    await playground.button('Regenerate').last().click();
    await playground.settled('chat');
    expect(asked[2]!.messages).toEqual(asked[1]!.messages);
    expect(await playground.turns.count()).toBe(2);
    await playground.button('Edit').first().click();
    expect(await playground.part('say').inputValue()).toBe('Emma?');
    await playground.say('Harriet?');
    expect(asked[3]!.messages).toEqual([{ role: 'user', content: 'Harriet?' }]);
    expect(await playground.turns.count()).toBe(1);
    await playground.button('New chat').click();
    expect(await playground.turns.count()).toBe(0);
  });

  it('stays when the next model cannot chat, which can continue a text', async () => {
    const { playground, page, asked } = await open();
    await playground.set(greedy);
    await playground.say('Emma?');
    await playground.field('Model').selectOption(mute);
    await page
      .getByText(`${mute} has no chat template, so it cannot chat. Your conversation stays.`)
      .waitFor();
    expect(await playground.part('send').isDisabled()).toBe(true);
    await playground.button('Use completion').click();
    await playground.say('It is a truth');
    expect(asked[1]).toMatchObject({ model: mute, prompt: 'It is a truth' });
    expect(await playground.turns.last().locator('.text').textContent()).toMatch(/^It is a truth./);
    await playground.field('Model').selectOption(talker);
    await page.locator('.bar').getByText('Chat', { exact: true }).click();
    await playground.say('And Jane?');
    expect((asked[2]!.messages as unknown[]).length).toBe(3);
    expect(await playground.turns.count()).toBe(3);
  });

  it('holds an answer to a JSON schema, stops and samples as the settings say', async () => {
    const { playground, asked } = await open();
    const schema = { type: 'object', properties: { happy: { type: 'boolean' } }, required: ['happy'] };
    await playground.set({ ...greedy, 'Top k': '5', 'Min p': '0.1', 'Repetition penalty': '1.1', Seed: '7' });
    await playground.set({
      'Max tokens': '60',
      'JSON schema': JSON.stringify(schema),
      'Stop texts': 'END\nFIN',
    });
    await playground.say('Emma?');
    const answer = String(await playground.turns.last().locator('.text').textContent());
    expect(JSON.parse(answer)).toEqual({ happy: expect.any(Boolean) });
    expect(asked[0]).toMatchObject({
      top_k: 5,
      min_p: 0.1,
      repetition_penalty: 1.1,
      seed: 7,
      stop: ['END', 'FIN'],
    });
  });

  it('shows errors in its own words, marks the field, and gives the message back', async () => {
    const { playground, page } = await open();
    const error = playground.part('chat-error');
    await playground.set({ Temperature: 'hot' });
    await playground.say('Emma?');
    expect(await error.textContent()).toContain('Temperature must be a number from 0 to 2');
    await error.getByText('What the service said').click();
    expect(await error.locator('dd').allTextContents()).toEqual([
      'invalid_request',
      'temperature',
      '400',
      expect.stringMatching(/^\S{36}$/),
    ]);
    expect(await playground.field('Temperature').getAttribute('aria-invalid')).toBe('true');
    expect(await playground.part('say').inputValue()).toBe('Emma?');
    await playground.set({ Temperature: '0', 'JSON schema': '{"type":' });
    await playground.say('Emma?');
    expect(await error.textContent()).toContain('The JSON schema is not JSON.');
    await playground.set({ 'JSON schema': '' });
    await playground.say('word '.repeat(600));
    expect(await error.textContent()).toContain('The chat is longer than this model can read.');
    await page.route('**/v1/chat/completions', (route) => route.abort());
    await playground.say('Emma?');
    expect(await error.textContent()).toContain('The service does not answer.');
  });

  it.each([
    ['the Stop button', (playground: PlaygroundPage) => playground.button('Stop').click()],
    ['the Escape key', (playground: PlaygroundPage) => playground.page.keyboard.press('Escape')],
  ])('is stopped by %s, also in the service', async (_name, stop) => {
    const { playground, engine } = await scripted('endless', false);
    await playground.part('say').fill('It');
    await playground.part('say').press('Enter');
    await playground.turns.getByText('endless').waitFor();
    await stop(playground);
    await playground.settled('chat');
    expect(await playground.turns.locator('.note').textContent()).toContain('Stopped');
    await expect.poll(() => engine.aborted).toHaveLength(1);
  });

  it('shows Markdown, and nothing that a model could do to the page', async () => {
    const hostile =
      '# Emma\n\n- **bold** and `code`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nlet x = 1 < 2;\n```\n\n' +
      '<img src=x onerror="window.hit=1"> <script>window.hit=1</script> [go](javascript:window.hit=1) ' +
      '[fine](https://example.com) ![pixel](https://example.com/p.png)';
    const { playground, page, strayRequests } = await scripted(hostile);
    await playground.say('It');
    const text = playground.turns.last().locator('.text');
    for (const shown of ['h4', 'li strong', 'li code', 'td', 'pre code'])
      expect([shown, (await text.locator(shown).count()) > 0]).toEqual([shown, true]);
    expect(await text.locator('img, script, iframe, style').count()).toBe(0);
    expect(await text.textContent()).toContain('<img src=x onerror="window.hit=1">');
    const links = await text.locator('a').all();
    const targets = links.map((link) => Promise.all(['href', 'rel'].map((name) => link.getAttribute(name))));
    expect(await Promise.all(targets)).toEqual([
      ['https://example.com', 'noopener noreferrer'],
      ['https://example.com/p.png', 'noopener noreferrer'],
    ]);
    expect([await page.evaluate('window.hit'), strayRequests]).toEqual([undefined, []]);
  });

  it('scrolls with the text, unless the reader has scrolled up', async () => {
    const { playground, page, engine } = await scripted('line  \n'.repeat(120), false);
    const below = () =>
      page.evaluate<number>('document.documentElement.scrollHeight - innerHeight - scrollY');
    const write = async (words: string) => {
      const { id } = engine.submitted[0]!;
      engine.emit({ type: 'tokens', id, at: 900, tokens: [1], text: `\n\n${words}`, logprobs: null });
      await playground.turns.getByText(words).waitFor();
    };
    await playground.part('say').fill('It');
    await playground.part('send').click();
    await playground.turns.getByText('line').first().waitFor();
    await write('seen as it comes');
    await expect.poll(below).toBeLessThan(2);
    await page.evaluate('scrollTo(0, 100)');
    await write('below the window');
    expect(await page.evaluate('scrollY')).toBe(100);
    await page.evaluate('scrollTo(0, 1e6)');
    await expect.poll(below).toBeLessThan(2);
    await write('seen again');
    await expect.poll(below).toBeLessThan(2);
    await playground.button('Stop').click();
    await playground.settled('chat');
  });

  describe('the history', () => {
    it('is kept only when asked for, opened again, and deleted', async () => {
      const { playground, page } = await open();
      await playground.set(greedy);
      await playground.say('Emma?');
      expect(await page.evaluate('localStorage.length')).toBe(0);
      await playground.open('History');
      await playground.field('Keep chats in this browser').check();
      await page.reload();
      await playground.ready();
      expect(await playground.turns.count()).toBe(0);
      await playground.open('History');
      await playground.button('Emma?').click();
      expect(await playground.turns.count()).toBe(1);
      await playground.button('Delete all chats').click();
      expect(await page.evaluate('Object.values(localStorage)')).toEqual(['[]']);
      await playground.field('Keep chats in this browser').uncheck();
      expect(await page.evaluate('localStorage.length')).toBe(0);
    });
  });
});
