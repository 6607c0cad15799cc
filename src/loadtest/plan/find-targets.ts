import { ConfigurationError, UsageError } from '../../errors.ts';
import type { Target } from '../load/target.ts';

/** Every named model on every server; if none is named, the first that each server lists. @throws ConfigurationError */
export async function findTargets(
  urls: readonly string[],
  models: readonly string[],
  baselines: readonly string[],
  apiKey: string | null,
): Promise<Target[]> {
  const targets: Target[] = [];
  for (const url of urls.map(readServerUrl)) {
    const isNamed = models.length + baselines.length > 0;
    const named = isNamed ? models : [await firstModel(url, apiKey)];
    const label = (model: string) => (urls.length === 1 ? model : `${model} at ${new URL(url).host}`);
    for (const model of named) targets.push({ url, model, label: label(model), isBaseline: false });
    for (const model of baselines) targets.push({ url, model, label: label(model), isBaseline: true });
  }
  return targets;
}

/** A server's address without `/v1`, which clients of OpenAI's API have in theirs. @throws UsageError */
export function readServerUrl(url: string): string {
  if (URL.canParse(url) && /^https?:/.test(url)) return url.replace(/\/+$/, '').replace(/\/v1$/, '');
  throw new UsageError(`--url: "${url}" is not an address that begins with http:// or https://`);
}

async function firstModel(url: string, apiKey: string | null): Promise<string> {
  const refuse = (why: string) => new ConfigurationError(`--model: not given, and ${url}/v1/models ${why}`);
  const headers = apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  let answer: { data?: { id?: unknown }[] };
  try {
    const response = await fetch(`${url}/v1/models`, {
      headers,
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw refuse(`answers ${response.status}`);
    answer = (await response.json()) as typeof answer;
  } catch (error) {
    if (error instanceof ConfigurationError) throw error;
    throw refuse('cannot be read; is the server running?');
  }
  const id = answer.data?.[0]?.id;
  if (typeof id !== 'string') throw refuse('lists no model');
  return id;
}
