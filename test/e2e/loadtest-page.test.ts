import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { htmlReport } from '../../src/loadtest/report/html-report.ts';
import { describeChromium } from '../support/chromium.ts';
import { loadtestResult } from '../support/loadtest-result.ts';

async function servePage(html: string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.url === '/') response.setHeader('content-type', 'text/html').end(html);
    else response.writeHead(204).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const schemes = ['light', 'dark'] as const;
const widths = [360, 1280];

describeChromium('the page of a load test', (openPage) => {
  const cases = schemes.flatMap((colorScheme) => widths.map((width) => ({ colorScheme, width })));

  it.each(cases)('$colorScheme, $width pixels wide', async ({ colorScheme, width }) => {
    const { plan, result } = loadtestResult('austen-t5-altup-k2-with-a-long-name', 200);
    const url = await servePage(htmlReport(plan, result));
    const options = { colorScheme, viewport: { width, height: 800 } };
    const { page, strayRequests, errors } = await openPage(url, options);
    expect(strayRequests).toEqual([]);
    expect(errors).toEqual([]);

    const plots = page.locator('svg');
    expect(await plots.count()).toBe(1 + 5 + 3);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width);
    for (const plot of await plots.all()) {
      const box = (await plot.boundingBox())!;
      expect(box.width).toBeGreaterThan(250);
      expect(box.x + box.width).toBeLessThanOrEqual(width);
      // Letters at least nine pixels high: readable without zooming.
      expect((11 * box.width) / 360).toBeGreaterThanOrEqual(9);
    }
    // The page draws both models' lines, in colours that differ from the background and from each other.
    const colours = await page.evaluate(`[getComputedStyle(document.body).backgroundColor,
      ...['c0', 'c1'].map((name) => getComputedStyle(document.querySelector('polyline.' + name)).stroke)]`);
    expect(new Set(colours as string[]).size).toBe(3);
    const light = (colours as string[])[0] === 'rgb(255, 255, 255)';
    expect(light).toBe(colorScheme === 'light');
  });
});
