import { setTimeout } from 'node:timers/promises';
import { beforeAll, expect, it, onTestFinished } from 'vitest';
import { ConstantLoad } from '../support/constant-load.ts';
import { describeDocker } from '../support/containers/describe-docker.ts';
import { buildServiceImage, buildTimeoutMs } from '../support/containers/images.ts';
import { ServiceContainer } from '../support/containers/service-container.ts';
import { ReadyProxy } from '../support/ready-proxy.ts';

const models = ['austen-t5-dense', 'austen-t5-altup-k2'];
const start = () =>
  ServiceContainer.start({ settings: { ALTUP_MODELS: models.map((model) => `/models/${model}`).join() } });

describeDocker('a rolling update of two containers', () => {
  beforeAll(buildServiceImage, buildTimeoutMs);

  it('fails no request under constant load', async () => {
    const old = [await start(), await start()];
    const inService = new Set(await Promise.all(old.map((container) => container.address())));
    const proxy = await ReadyProxy.open(() => [...inService]);
    onTestFinished(() => proxy.close());
    while ((await fetch(`${proxy.url}/health/ready`)).status !== 200) await setTimeout(50);
    const load = ConstantLoad.start({ url: proxy.url, models, requestsPerSecond: 10, tokens: 60 });
    await setTimeout(3000);
    for (const container of old) {
      const address = await container.address();
      const successor = await start();
      inService.add(await successor.address());
      // As in a cluster: a stopping container gets requests until it reports that it drains.
      expect(await container.stop()).toBe(0);
      inService.delete(address);
      await setTimeout(2000);
    }
    await load.end();
    console.log(`${load.completed} streams over a rolling update, ${load.failures.length} failed`);
    expect(load.failures).toEqual([]);
    expect(load.completed).toBeGreaterThan(80);
  });
});
