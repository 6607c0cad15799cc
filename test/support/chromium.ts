import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest';

/** Where scripts/get-chromium.sh and the packages of other systems install it. */
const executables = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const flags = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** A page of the service, with what it has requested and reported so far. */
interface OpenedPage {
  page: Page;
  /** Addresses outside the service that the page requested; none was answered. */
  strayRequests: string[];
  /** Console messages at error level, and uncaught exceptions. */
  errors: string[];
}

export type OpenPage = (
  url: string,
  options?: BrowserContextOptions,
  otherServers?: readonly string[],
) => Promise<OpenedPage>;

/** A group of tests that needs a browser; without one the group is skipped and its name says why. */
export function describeChromium(name: string, tests: (openPage: OpenPage) => void): void {
  const executablePath = executables.find((each) => existsSync(each));
  if (executablePath === undefined) {
    const reason = 'no chromium is installed; see scripts/get-chromium.sh';
    describe.skip(`${name} (skipped: ${reason})`, () => tests(() => Promise.reject(new Error(reason))));
    return;
  }
  describe(name, () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath, chromiumSandbox: false, args: flags });
    });
    afterAll(() => browser.close());
    tests((...page) => openPage(browser, ...page));
  });
}

/**
 * Opens an address in its own profile, which can only reach the address's origin and those of the other servers. Call it
 * inside a test.
 */
async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
  otherServers: readonly string[] = [],
): Promise<OpenedPage> {
  const context = await browser.newContext(options);
  onTestFinished(() => context.close());
  const origins = [url, ...otherServers].map((each) => new URL(each).origin);
  const strayRequests: string[] = [];
  await context.route(
    (address) => !origins.includes(address.origin),
    (route) => {
      strayRequests.push(route.request().url());
      return route.abort();
    },
  );
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', ({ message }) => errors.push(message));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  await page.goto(url);
  return { page, strayRequests, errors };
}
