import { expect, it, onTestFinished } from 'vitest';
import { describeChromium } from '../support/chromium.ts';
import { fakeServer } from '../support/fake-server.ts';

describeChromium('/docs', (openPage) => {
  it('shows the routes, and loads nothing from elsewhere', async () => {
    const { app } = fakeServer();
    onTestFinished(() => app.close());
    const url = await app.listen({ host: '127.0.0.1', port: 0 });
    const { page, strayRequests, errors } = await openPage(`${url}/docs`);
    await page.getByText('/v1/chat/completions').first().waitFor();
    expect(strayRequests).toEqual([]);
    expect(errors).toEqual([]);
  });
});
