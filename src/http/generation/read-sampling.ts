import type { TextOwner } from '../../catalog/texts/text-workers.ts';
import {
  eachSamplingNumber,
  type SamplingNumber,
  type SamplingParameters,
} from '../../sampling/sampling-request.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { ReadyModel } from '../models/find-model.ts';
import type { GenerationFields } from './generation-fields.ts';
import { checkTokenIds } from './read-prompt.ts';

function readLogitBias(bias: Record<string, number> | null, vocabSize: number): [number, number][] {
  const entries = Object.entries(bias ?? {}).map(([key, value]): [number, number] => {
    if (!/^\d{1,10}$/.test(key)) {
      throw invalidRequest(
        'logit_bias',
        'The keys of `logit_bias` must be token ids: whole numbers in quotes.',
      );
    }
    return [Number(key), value];
  });
  const ids = entries.map(([id]) => id);
  checkTokenIds('logit_bias', ids, vocabSize);
  return entries;
}

function readAllowedTokens(ids: readonly number[] | null, vocabSize: number): number[] | null {
  if (ids === null) return null;
  checkTokenIds('allowed_token_ids', ids, vocabSize);
  return [...new Set(ids)];
}

/** A word tokenizes differently at the start of a text and after a space, so both forms are banned. */
async function readBadWords(
  words: readonly string[],
  { texts, manifest }: ReadyModel,
  owner: TextOwner,
): Promise<number[][]> {
  if (words.length === 0) return [];
  const forms = words.flatMap((word) => [word, word.trimStart(), ` ${word.trimStart()}`]);
  const encoding = { texts: forms, addSpecialTokens: false, last: Number.POSITIVE_INFINITY };
  const runs = (await texts.encode(encoding, owner)).map(({ tokens }) => [...tokens]);
  const distinct = new Map(runs.map((run) => [run.join(), run]));
  // The model never generates ids outside its vocabulary.
  const canBeSaid = (run: number[]) => run.length > 0 && run.every((id) => id < manifest.vocabSize);
  return [...distinct.values()].filter(canBeSaid);
}

/** Sampling parameters from the request, else the checkpoint's defaults; without grammar and seed. */
export async function readSampling(
  fields: GenerationFields,
  model: ReadyModel,
  owner: TextOwner,
): Promise<Omit<SamplingParameters, 'seed' | 'grammar'>> {
  const { manifest } = model;
  const own: Partial<Record<SamplingNumber, number | null>> = model.defaults;
  return {
    ...eachSamplingNumber(({ field, neutral }, name) => fields[field] ?? own[name] ?? neutral),
    logitBias: readLogitBias(fields.logit_bias ?? null, manifest.vocabSize),
    allowedTokens: readAllowedTokens(fields.allowed_token_ids ?? null, manifest.vocabSize),
    badWords: await readBadWords(fields.bad_words ?? [], model, owner),
  };
}
