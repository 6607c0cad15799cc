import { randomUUID } from 'node:crypto';
import { clientQueueLimit } from '../../engine/client/admission.ts';
import type { EmbeddingRequest } from '../../engine/protocol/generation.ts';
import type { SequenceLife } from '../../engine/protocol/sequence-life.ts';
import { clientGone, textOwner } from '../access.ts';
import { errorResponses } from '../errors/error-schema.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { refuseBroken } from '../generation/answer-generation.ts';
import { arrivalOf, type JobContext } from '../generation/generation-job.ts';
import { refuseWhileDraining } from '../generation/generation-route.ts';
import { checkGivenTokens, readPrompts, separatePrompts } from '../generation/read-prompt.ts';
import { writeInTurns, writeListInTurns } from '../json/in-turns.ts';
import type { ClientLimits } from '../limits/client-limits.ts';
import {
  findModel,
  type ReadModel,
  type ReadyModel,
  requireRead,
  requireReady,
} from '../models/find-model.ts';
import type { App, ServerDependencies } from '../server-dependencies.ts';
import {
  type EmbeddingsRequest,
  EmbeddingsRequestSchema,
  EmbeddingsSchema,
  type EncodingFormat,
} from './embeddings-schemas.ts';

/** Refuses what the model can never do, before it is loaded for that. @throws ServiceError `invalid_request` */
function check({ input }: EmbeddingsRequest, model: ReadModel): void {
  if (!model.manifest.graphs.encoder) {
    throw invalidRequest(
      'model',
      `'${model.name}' has no encoder, so it has no embeddings; choose an encoder-decoder model, such as a T5.`,
    );
  }
  checkGivenTokens(separatePrompts(input), 'input', model);
}

/** @throws ServiceError `invalid_request` if the model has no embeddings of the requested length */
function checkDimensions({ dimensions }: EmbeddingsRequest, { name, encoderWidth }: ReadyModel): void {
  const asked = dimensions ?? encoderWidth;
  if (asked === encoderWidth) return;
  throw invalidRequest(
    'dimensions',
    `\`dimensions\` is ${asked}; the embeddings of '${name}' have ${encoderWidth} numbers and cannot be shortened. Leave it out, or send ${encoderWidth}.`,
  );
}

/** One request to the engine for each input. @throws ServiceError `invalid_request` */
async function readRequests(
  body: EmbeddingsRequest,
  context: Omit<JobContext, 'compileGrammar'>,
): Promise<EmbeddingRequest[]> {
  const { model, config, owner } = context;
  checkDimensions(body, model);
  const { requests: most, tokens } = clientQueueLimit(config);
  const inputs = await readPrompts(
    separatePrompts(body.input),
    { prompts: most, tokens, given: '' },
    {
      model,
      owner,
      param: 'input',
      room: model.encoderCapacity,
      addSpecialTokens: true,
      truncateTo: null,
      toGenerate: { param: 'input', asked: 0, fallback: 0 },
    },
  );
  const unique = `embd-${randomUUID().replaceAll('-', '')}`;
  const arrival = arrivalOf(context);
  return inputs.map((promptTokens, index) => ({
    ...arrival,
    task: 'embed',
    id: `${unique}-${index}`,
    promptTokens,
    priority: 0,
  }));
}

const written: Record<EncodingFormat, (embedding: Float32Array) => number[] | string> = {
  float: (embedding) => Array.from(embedding),
  base64: ({ buffer, byteOffset, byteLength }) =>
    Buffer.from(buffer, byteOffset, byteLength).toString('base64'),
};

/** One entry of the answer. */
function entryOf({ end }: SequenceLife, index: number, format: EncodingFormat): object {
  if (end?.type !== 'embedded') throw new Error('an answer is written before its embeddings are there');
  return { object: 'embedding', index, embedding: written[format](end.embedding) };
}

const schema = {
  operationId: 'createEmbeddings',
  tags: ['embeddings'],
  summary: 'Turn texts into vectors',
  description:
    'OpenAI’s embeddings, from the encoder of an encoder-decoder model. The service refuses unknown fields.',
  body: EmbeddingsRequestSchema,
  response: { 200: EmbeddingsSchema, ...errorResponses(404, 413, 415, 500, 503, 504) },
};

export function embeddingsRoute(app: App, dependencies: ServerDependencies, limits: ClientLimits): void {
  const { config, models, keeper, engine, metrics, clock } = dependencies;
  const onRequest = refuseWhileDraining(dependencies);
  app.post('/v1/embeddings', { schema, onRequest }, async (request, reply) => {
    const { body, life } = request;
    const served = findModel(models, body.model);
    const format = body.encoding_format ?? 'float';
    const task = { operation: 'embeddings' as const, parameters: { encoding_formats: [format] } };
    life.beginGeneration(task, served.state.state === 'ready', clock());
    check(body, requireRead(served));
    const gone = clientGone(reply.raw);
    try {
      const leave = await keeper.use(served, { client: life.client, signal: gone });
      life.loadedAt ??= clock();
      try {
        const requests = await readRequests(body, {
          model: requireReady(served),
          config,
          clock,
          arrivedAt: life.arrivedAt,
          owner: textOwner(request, served.name, gone, dependencies),
        });
        const tokens = requests.reduce((sum, { promptTokens }) => sum + promptTokens.length, 0);
        const release = limits.takeFor(requests, metrics);
        try {
          life.queuedAt = requests[0]!.queuedAt;
          life.promptTokens = tokens;
          const events = engine.generate(requests, gone);
          life.sequences = events.lives;
          for await (const event of events) refuseBroken(event);
        } finally {
          release();
        }
        const data = await writeListInTurns(life.sequences, (each, index) =>
          JSON.stringify(entryOf(each, index, format)),
        );
        const usage = { prompt_tokens: tokens, total_tokens: tokens };
        const { bytes } = await writeInTurns({ object: 'list', data, model: served.name, usage });
        return reply.type('application/json; charset=utf-8').send(bytes as never);
      } finally {
        leave();
      }
    } catch (error) {
      if (!gone.aborted) throw error;
      // Nobody is left to answer.
      return reply.hijack() as never;
    }
  });
}
