import type { Logger } from 'pino';
import type { Manifest } from '../catalog/manifest.ts';
import type { ServedModel } from '../catalog/served-model.ts';
import { readTexts, type TextWorkers } from '../catalog/texts/text-workers.ts';
import type { VocabularyData } from '../catalog/tokenizer/vocabulary.ts';
import type { EngineOptions, ModelSpec } from '../engine/protocol/messages.ts';
import { ConfigurationError } from '../errors.ts';
import type { Export } from '../export/export-checkpoint.ts';
import { hasEqualRows } from '../runtime/native/native-session.ts';
import type { Runtime } from '../runtime/session.ts';
import { type Checkpoints, planAlone } from './checkpoints.ts';
import type { ModelSource } from './model-sources.ts';
import type { ResidentModels } from './resident-models.ts';

interface ExportedModel extends Export {
  name: string;
  /** Of its tokenizer, which may still be read. */
  vocabulary: Promise<VocabularyData>;
}

export interface DraftsParts {
  config: { drafts: ReadonlyMap<string, string> };
  logger: Logger;
  texts: TextWorkers;
  models: ReadonlyMap<string, ServedModel>;
  /** By id. */
  sources: ReadonlyMap<string, ModelSource>;
  checkpoints: Checkpoints;
  residents: Pick<ResidentModels, 'bytesForModels'>;
}

/** Which model drafts for which (`ALTUP_DRAFT`). A draft is loaded together with its model, a second time if it is served. */
export class Drafts {
  readonly #parts: DraftsParts;

  constructor(parts: DraftsParts) {
    this.#parts = parts;
  }

  /** @throws ConfigurationError for a name that no model has */
  requireModels(): void {
    for (const name of [...this.#parts.config.drafts].flat()) this.#model(name);
  }

  /**
   * Plans the memory of an exported model and its draft, which it exports too if the model has one.
   * @throws ConfigurationError for a model that would not fit without others, and for a draft that cannot be one
   */
  async planWith(
    model: ExportedModel,
    options: EngineOptions,
  ): Promise<{ memory: ServedModel['memory']; spec: ModelSpec }> {
    const { name, folder } = model;
    const available = this.#parts.residents.bytesForModels;
    const draft = await this.#prepare(model, options.runtime);
    const draftWeights = draft === null ? 0 : (await planAlone(draft, options, Infinity)).weights;
    // The draft's cache gets what the model's leaves.
    const memory = await planAlone(model, options, available - draftWeights);
    const isLimited = Number.isFinite(available);
    const limitOf = ({ cache }: { cache: number }) => (isLimited ? { cacheMemory: cache } : {});
    const spec = { name, folder, ...limitOf(memory) };
    if (draft === null) return { memory, spec };
    const own = await planAlone(draft, options, available - memory.weights - memory.cache).catch((error) => {
      throw cannotDraft(draft.name, error);
    });
    return {
      memory: { ...memory, draft: own.weights + own.cache },
      spec: { ...spec, draft: { name: draft.name, folder: draft.folder, ...limitOf(own) } },
    };
  }

  /** Exports the draft of a model; null: it has none. */
  async #prepare(drafted: ExportedModel, runtime: Runtime): Promise<(Export & { name: string }) | null> {
    const { config, logger, texts, models, sources, checkpoints } = this.#parts;
    const name = config.drafts.get(drafted.name);
    if (name === undefined) return null;
    const withoutEffect = (reason: string) => {
      logger.warn({ model: drafted.name, draft: name, reason }, 'ALTUP_DRAFT has no effect');
      return null;
    };
    if (!hasEqualRows(runtime, drafted.manifest))
      return withoutEffect(
        'a draft needs the native backend on an x64 CPU with AVX2 and a model without sparse experts, whose tokens do not depend on how many are computed at once',
      );
    // A reload may have removed it since the start.
    const draft = models.get(name);
    if (draft === undefined) return withoutEffect('no model has its name any more');
    const vocabulary = await drafted.vocabulary;
    try {
      const folder = await checkpoints.locate(sources.get(draft.id)!);
      const exported = await checkpoints.export(name, folder, draft.precision);
      if (models.get(drafted.name)?.id !== draft.id) {
        const read = await readTexts(folder, texts);
        read.texts.forget();
        const own = { manifest: exported.manifest, vocabulary: read.vocabulary.data };
        requireSameTokens({ manifest: drafted.manifest, vocabulary }, own);
      }
      return { name, ...exported };
    } catch (error) {
      throw cannotDraft(name, error as Error);
    }
  }

  #model(name: string): ServedModel {
    const found = this.#parts.models.get(name);
    if (found) return found;
    const names = [...this.#parts.models.keys()].join(', ');
    throw new ConfigurationError(`ALTUP_DRAFT: no model is called '${name}'; the models are ${names}`);
  }
}

const cannotDraft = (name: string, error: Error) =>
  new ConfigurationError(`ALTUP_DRAFT: ${name} cannot draft for it: ${error.message}`, { cause: error });

interface ModelTokens {
  manifest: Manifest;
  vocabulary: VocabularyData;
}

function requireSameTokens(model: ModelTokens, draft: ModelTokens): void {
  const hasEncoder = (graphs: Manifest['graphs']) => graphs.encoder !== null;
  if (hasEncoder(model.manifest.graphs) !== hasEncoder(draft.manifest.graphs)) {
    const [one, other] = [model, draft].map(({ manifest }) =>
      hasEncoder(manifest.graphs) ? 'an encoder-decoder' : 'decoder-only',
    );
    throw new ConfigurationError(`the model is ${one} and the draft ${other}; both must be the same`);
  }
  const start = [model, draft].map(({ manifest }) => manifest.specialTokens.decoderStart);
  if (hasEncoder(draft.manifest.graphs) && start[0] !== start[1]) {
    throw new ConfigurationError(
      `the model's decoder starts with token ${start[0]}, the draft's with ${start[1]}`,
    );
  }
  const token = firstDifference(model.vocabulary, draft.vocabulary);
  if (token === null) return;
  throw new ConfigurationError(
    `token ${token} is not the same text in both vocabularies; a draft needs the tokenizer of its model`,
  );
}

/** The first token that differs; null: none. Only added tokens may be missing in one of them. */
function firstDifference(a: VocabularyData, b: VocabularyData): number | null {
  const common = Math.min(a.ends.length, b.ends.length);
  const startOf = ({ ends }: VocabularyData, token: number) => (token === 0 ? 0 : ends[token - 1]!);
  const bytesOf = (one: VocabularyData, token: number) =>
    one.bytes.subarray(startOf(one, token), one.ends[token]);
  for (let token = 0; token < common; token++) {
    const isSame = a.ends[token] === b.ends[token] && a.special[token] === b.special[token];
    if (!isSame || Buffer.compare(bytesOf(a, token), bytesOf(b, token)) !== 0) return token;
  }
  return a.ownTokens === b.ownTokens ? null : Math.min(a.ownTokens, b.ownTokens);
}
