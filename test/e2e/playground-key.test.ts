import { expect, it, onTestFinished } from 'vitest';
import { describeChromium } from '../support/chromium.ts';
import { PlaygroundPage } from '../support/playground-page.ts';
import { ServiceProcess } from '../support/service-process.ts';

const key = 'sk-0123456789-of-the-page';

describeChromium('the playground of a service with API keys', (openPage) => {
  it('asks for a key, and keeps it nowhere but in its field', async () => {
    const settings = {
      ALTUP_MODELS: 'models/austen-t5-dense',
      ALTUP_API_KEYS: key,
      ALTUP_LOG_LEVEL: 'trace',
    };
    const service = await ServiceProcess.start(settings);
    onTestFinished(async () => void (await service.stop()));
    const { page } = await openPage(service.url);
    const urls: string[] = [];
    const bodies: string[] = [];
    page.on('request', (request) => {
      urls.push(request.url());
      bodies.push(request.postData() ?? '');
    });
    const playground = new PlaygroundPage(page);
    const refusal = page.locator('[data-part=service-error]');
    await refusal.getByText('The service needs an API key.').waitFor();
    expect(await refusal.textContent()).toContain('Enter one under Settings, “Key and servers”.');

    const field = playground.field('API key');
    expect(await field.getAttribute('type')).toBe('password');
    expect(await field.getAttribute('autocomplete')).toBe('off');
    await field.fill(key);
    await field.press('Tab');
    await playground.ready();
    expect(await refusal.textContent()).toBe('');
    await playground.set({ 'Max tokens': '8' });
    await playground.say('It is a truth');
    expect(await playground.turns.textContent()).toContain('8 tokens');

    const kept = await page.evaluate(`(async () => JSON.stringify({
      local: { ...localStorage },
      session: { ...sessionStorage },
      cookie: document.cookie,
      databases: await indexedDB.databases(),
      caches: await caches.keys(),
      history: history.state,
      name: window.name,
      address: location.href,
      markup: document.documentElement.outerHTML,
    }))()`);
    const stored = JSON.parse(String(kept));
    expect(stored).toMatchObject({
      local: {},
      session: {},
      cookie: '',
      databases: [],
      caches: [],
      history: null,
    });
    expect(String(kept)).not.toContain(key);
    expect(JSON.stringify(await page.context().storageState({ indexedDB: true }))).not.toContain(key);
    expect(urls).toContain(`${service.url}/v1/completions`);
    expect([...urls, ...bodies].join('\n')).not.toContain(key);

    await page.reload();
    expect(await field.inputValue()).toBe('');
    await service.stop();
    expect(service.output).toContain('/v1/completions');
    expect(service.output).not.toContain(key);
  });
});
