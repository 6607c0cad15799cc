import { ConstantLoad } from '../constant-load.ts';
import type { Release } from './release.ts';

/** Models of the image that load asks for. */
export const servedModels = ['austen-t5-dense', 'austen-t5-altup-k2'];

interface ServiceLoadOptions {
  models?: readonly string[];
  tokens?: number;
  requestsPerSecond?: number;
  headers?: () => Record<string, string>;
}

/** Starts load against the address of a release's Service: from clients that keep their connections and from those that do not. */
export async function serviceLoad(release: Release, options: ServiceLoadOptions = {}): Promise<ConstantLoad> {
  const { headers = () => ({}), ...others } = options;
  return ConstantLoad.start({
    url: await release.url(),
    models: servedModels,
    requestsPerSecond: 4,
    tokens: 40,
    ...others,
    headers: (i) => ({ ...(Math.floor(i / 2) % 2 === 0 ? { connection: 'close' } : {}), ...headers() }),
  });
}
