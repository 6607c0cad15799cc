import type { preValidationAsyncHookHandler } from 'fastify';
import type { GenerationDefaults } from '../../catalog/generation-defaults.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import { notReady, type ServedModel } from '../../catalog/served-model.ts';
import type { TextWork } from '../../catalog/texts/text-workers.ts';
import type { Vocabulary } from '../../catalog/tokenizer/vocabulary.ts';
import { ServiceError } from '../../errors.ts';
import { invalidRequest } from '../errors/invalid-request.ts';

/** A model whose files are read. It need not be in memory. */
export interface ReadModel {
  name: string;
  manifest: Manifest;
  vocabulary: Pick<Vocabulary, keyof Vocabulary>;
  texts: TextWork;
  defaults: GenerationDefaults;
}

/** A model that takes requests. */
export interface ReadyModel extends ReadModel {
  /** The backend that runs its graphs. */
  backend: string;
  /** Maximum tokens of prompt and completion together; for an encoder-decoder model, of the completion. */
  capacity: number;
  /** Maximum tokens of the encoder's prompt; 0 without an encoder. */
  encoderCapacity: number;
  /** Numbers in an embedding; 0 without an encoder. */
  encoderWidth: number;
  /** The memory for keys and values, not the model, limits `capacity`. */
  isCacheLimit: boolean;
}

type Models = ReadonlyMap<string, ServedModel>;

const listed = (models: Models) => {
  const names = [...models.keys()];
  return names.length > 10 ? `${names.slice(0, 10).join(', ')}, … (see /v1/models)` : names.join(', ');
};

/**
 * @param name as the client wrote it; `<id>:<precision>` also finds a model by its default precision
 * @throws ServiceError `model_not_found`, or `invalid_request` if no name is given and several models are served
 */
export function findModel(models: Models, name: string | null | undefined): ServedModel {
  if (name === undefined || name === null) {
    const [only, ...others] = models.values();
    if (only && others.length === 0) return only;
    throw invalidRequest('model', `\`model\` is required: one of ${listed(models)}.`);
  }
  const model =
    models.get(name) ?? [...models.values()].find(({ id, precision }) => `${id}:${precision}` === name);
  if (model) return model;
  const shown = name.length > 100 ? `${name.slice(0, 100)}…` : name;
  throw new ServiceError('model_not_found', `No model is named '${shown}'; served: ${listed(models)}.`, {
    param: 'model',
  });
}

/** Records which model a request is for before its fields are checked, so that refusals count for that model. */
export function noteModel(models: Models): preValidationAsyncHookHandler {
  return async ({ body, params, query, life }) => {
    const isObject = typeof body === 'object' && body !== null && !Array.isArray(body);
    const { id: name } = params as { id?: string };
    const { model: queried } = query as { model?: string };
    const asked = name ?? queried ?? (isObject ? (body as { model?: unknown }).model : false) ?? null;
    if (asked !== null && typeof asked !== 'string') return;
    try {
      life.model = findModel(models, asked).name;
    } catch {
      // The handler reports the error.
    }
  };
}

/** The files of a model are read before it is loaded, and stay so. @throws ServiceError `not_ready` */
export function requireRead({ name, manifest, vocabulary, texts, defaults, state }: ServedModel): ReadModel {
  if (!manifest || !vocabulary || !texts) throw notReady(name, state);
  return { name, manifest, vocabulary, texts, defaults };
}

/** @throws ServiceError `not_ready` */
export function requireReady(model: ServedModel): ReadyModel {
  const { name, state } = model;
  if (state.state !== 'ready') throw notReady(name, state);
  const { capacity, encoderCapacity, encoderWidth, isCacheLimit, runtime } = state;
  return {
    ...requireRead(model),
    backend: runtime.backend,
    capacity,
    encoderCapacity,
    encoderWidth,
    isCacheLimit,
  };
}

/** Maximum tokens of prompt plus completion; for an encoder-decoder model, of the prompt; null if not loaded. */
export function maxModelLength({ state, manifest }: ServedModel): number | null {
  if (state.state !== 'ready') return null;
  return manifest?.graphs.encoder ? state.encoderCapacity : state.capacity;
}
