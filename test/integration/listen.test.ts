import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const models = { ALTUP_MODELS: 'models/austen-t5-dense' };
const withoutIpv6 = {
  ...models,
  NODE_OPTIONS: `--import ${join(import.meta.dirname, '../support/without-ipv6.ts')}`,
};
const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === '::1');

/** Those of the addresses at which `/health/live` answers. */
async function answering(service: ServiceProcess, ...addresses: string[]): Promise<string[]> {
  const { port } = new URL(service.url);
  const isLive = (address: string) =>
    fetch(`http://${address}:${port}/health/live`).then(
      ({ ok }) => ok,
      () => false,
    );
  const live = await Promise.all(addresses.map(isLive));
  return addresses.filter((_, index) => live[index]);
}

it.runIf(hasIpv6)('answers over IPv4 and IPv6 on ::', async () => {
  const service = await ServiceProcess.start({ ...models, ALTUP_HOST: '::' });
  expect(await answering(service, '127.0.0.1', '[::1]')).toEqual(['127.0.0.1', '[::1]']);
  expect(await service.stop()).toBe(0);
});

it('answers over IPv4 on :: where there is no IPv6', async () => {
  const service = await ServiceProcess.start({ ...withoutIpv6, ALTUP_HOST: '::' });
  expect(await answering(service, '127.0.0.1')).toEqual(['127.0.0.1']);
  expect(await service.stop()).toBe(0);
});

it('refuses one IPv6 address where there is no IPv6, and says so', async () => {
  const { code, output } = await ServiceProcess.refused({ ...withoutIpv6, ALTUP_HOST: '::1' });
  expect(code).toBe(1);
  expect(output).toContain('ALTUP_HOST: this machine has no IPv6, so it cannot listen on ::1');
});
