import { describe, expect, it } from 'vitest';
import type { Manifest } from '../../src/catalog/manifest.ts';
import type { TextWorkers } from '../../src/catalog/texts/text-workers.ts';
import type { VocabularyData } from '../../src/catalog/tokenizer/vocabulary.ts';
import type { EngineOptions } from '../../src/engine/protocol/messages.ts';
import { createLogger } from '../../src/observability/logger.ts';
import type { Checkpoints } from '../../src/service/checkpoints.ts';
import { Drafts } from '../../src/service/drafts.ts';
import { fakeManifest, fakeModel } from '../support/fake-server.ts';
import { fakeRuntime } from '../support/fake-session.ts';

/** A vocabulary of these tokens, of which so many are not added ones. */
function vocabularyOf(tokens: readonly string[], ownTokens = tokens.length): VocabularyData {
  const bytes = Buffer.from(tokens.join(''));
  let end = 0;
  const ends = Uint32Array.from(tokens, ({ length }) => (end += length));
  return { bytes, ends, special: new Uint8Array(tokens.length), ownTokens, leadingSpaces: 0 };
}

interface Case {
  manifest?: Manifest;
  vocabulary?: VocabularyData;
  draft?: Manifest;
  draftVocabulary?: VocabularyData;
  available?: number;
  pairs?: [string, string][];
  /** Id of the draft. */
  id?: string;
}
const tokens = ['<s>', 'a', 'bc', 'd'];

function planned({
  manifest = fakeManifest(),
  vocabulary = vocabularyOf(tokens),
  draft = manifest,
  draftVocabulary = vocabulary,
  available = Number.POSITIVE_INFINITY,
  pairs = [['large', 'small:int8']],
  id = 'small',
}: Case = {}) {
  const reads: string[] = [];
  const log: Record<string, unknown>[] = [];
  const small = { ...fakeModel('ready'), name: 'small:int8', id, precision: 'int8' as const };
  const drafts = new Drafts({
    config: { drafts: new Map(pairs) },
    logger: createLogger('info', { write: (line) => log.push(JSON.parse(line)) }),
    texts: {
      load: async () => {
        reads.push('read');
        return { vocabulary: draftVocabulary, info: {}, source: {} };
      },
      forget: () => reads.push('forgotten'),
    } as unknown as TextWorkers,
    models: new Map([
      ['large', { ...fakeModel('ready'), id: 'large' }],
      ['small:int8', small],
    ]),
    sources: new Map([[id, { id, path: '', place: { folder: '/none/small' } }]]),
    checkpoints: {
      locate: async () => '/none/small',
      export: async () => ({ folder: '/none/small/int8', manifest: draft, isNew: false }),
    } as unknown as Checkpoints,
    residents: { bytesForModels: available },
  });
  const options = { runtime: fakeRuntime, slots: 2, maxContext: 64, cacheMemory: null, prefillChunk: 64 };
  const tokens = Promise.resolve(vocabulary);
  const model = { name: 'large', vocabulary: tokens, folder: '/none/large/fp32', manifest, isNew: false };
  return { drafts, log, reads, plan: drafts.planWith(model, options as EngineOptions) };
}

describe('a draft', () => {
  it('is exported, counted and loaded with its model', async () => {
    const { memory, spec } = await planned().plan;
    expect(spec).toMatchObject({ name: 'large', draft: { name: 'small:int8', folder: '/none/small/int8' } });
    expect(spec.cacheMemory).toBeUndefined();
    expect(memory!.draft).toBe(memory!.cache);
    expect(memory!.draft).toBeGreaterThan(0);
  });

  it('shares the memory limit with its model', async () => {
    const { memory } = await planned().plan;
    const both = await planned({ available: 2 * memory!.cache }).plan;
    expect(both.spec).toMatchObject({ cacheMemory: memory!.cache, draft: { cacheMemory: memory!.cache } });
    await expect(planned({ available: 2 * memory!.cache - 1 }).plan).rejects.toThrow('ALTUP_MEMORY_LIMIT');
  });

  it('is not needed', async () => {
    const { memory, spec } = await planned({ pairs: [] }).plan;
    expect(spec).not.toHaveProperty('draft');
    expect(memory).not.toHaveProperty('draft');
  });

  it('may have other added tokens', async () => {
    const vocabulary = vocabularyOf(tokens, 3);
    const draftVocabulary = vocabularyOf(tokens.slice(0, 3));
    expect((await planned({ vocabulary, draftVocabulary }).plan).spec.draft).toBeDefined();
  });

  const starting = (decoderStart: number): Manifest => {
    const manifest = fakeManifest();
    return { ...manifest, specialTokens: { ...manifest.specialTokens, decoderStart } };
  };
  it.each<[string, Case, string]>([
    [
      'without the encoder of its model',
      { draft: fakeManifest('decoder-only') },
      'the model is an encoder-decoder and the draft decoder-only; both must be the same',
    ],
    [
      'that starts otherwise',
      { manifest: starting(0), draft: starting(2) },
      "the model's decoder starts with token 0, the draft's with 2",
    ],
    [
      'with another token',
      { draftVocabulary: vocabularyOf(['<s>', 'a', 'bx', 'd']) },
      'token 2 is not the same text in both vocabularies; a draft needs the tokenizer of its model',
    ],
    [
      'with tokens of the same text in other places',
      { draftVocabulary: vocabularyOf(['<s>', 'ab', 'c', 'd']) },
      'token 1 is not the same text',
    ],
    ['with fewer tokens', { draftVocabulary: vocabularyOf(tokens.slice(0, 3)) }, 'token 3 is not the same'],
  ])('%s is refused', async (_, what, reason) => {
    await expect(planned(what).plan).rejects.toThrow(
      `ALTUP_DRAFT: small:int8 cannot draft for it: ${reason}`,
    );
  });

  it('of another checkpoint is compared by its tokenizer, which nobody else needs', async () => {
    const { plan, reads } = planned();
    await plan;
    expect(reads).toEqual(['read', 'forgotten']);
  });

  it('of the same checkpoint has its tokens', async () => {
    const { plan, reads } = planned({ id: 'large' });
    expect((await plan).spec.draft).toMatchObject({ name: 'small:int8' });
    expect(reads).toEqual([]);
  });

  it('that is no model is refused at the start, and has no effect if it was removed later', async () => {
    const { drafts, plan, log } = planned({ pairs: [['large', 'small']] });
    const reason = "ALTUP_DRAFT: no model is called 'small'; the models are large, small:int8";
    expect(() => drafts.requireModels()).toThrow(reason);
    expect((await plan).spec).not.toHaveProperty('draft');
    expect(log).toMatchObject([{ msg: 'ALTUP_DRAFT has no effect', model: 'large', draft: 'small' }]);
  });

  it('has no effect on a model with sparse experts, which the log says', async () => {
    const { plan, log } = planned({ manifest: { ...fakeManifest(), moe: { numExperts: 4, topK: 1 } } });
    expect((await plan).spec).not.toHaveProperty('draft');
    expect(log).toMatchObject([{ msg: 'ALTUP_DRAFT has no effect', model: 'large', draft: 'small:int8' }]);
  });
});
