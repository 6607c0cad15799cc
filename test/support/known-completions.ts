import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { readStream, type Streamed } from './stream-completion.ts';

/** Posts to a service under test. */
export type Post = (path: string, body: unknown, init?: RequestInit) => Promise<Response>;

/** A request and its known completion, learnt by running the request alone. */
export interface KnownCompletion {
  body: { model: string; prompt: string; max_tokens: number };
  text: string;
}

/** How a request ended; anything else throws. `left`: the client left on purpose. */
export type Outcome =
  | { kind: 'complete' | 'left' }
  | { kind: 'refused'; status: number; retryAfterSeconds: number }
  | { kind: 'failed'; code: string };

const words =
  'It was a truth that she had never seen so much of the world as in that long walk to the house of her friend'.split(
    ' ',
  );
/** The abort reason of a client that leaves. */
const leaving = new Error('the client left');

function randomBody(random: SeededRandom, model: string): KnownCompletion['body'] {
  const prompt = Array.from({ length: 2 + random.below(50) }, () => words[random.below(words.length)]);
  return { model, prompt: prompt.join(' '), max_tokens: 4 + random.below(90) };
}

const withDefaults = (body: object) => ({ ...body, temperature: 0, ignore_eos: true });

/** Runs `count` different requests to `models` in turn, each alone. */
export async function learnCompletions(
  post: Post,
  models: readonly string[],
  count: number,
): Promise<KnownCompletion[]> {
  const random = seededRandom(11);
  const known: KnownCompletion[] = [];
  for (let i = 0; i < count; i += 1) {
    const body = randomBody(random, models[i % models.length]!);
    const answer = await post('/v1/completions', withDefaults(body));
    known.push({ body, text: ((await answer.json()) as { choices: { text: string }[] }).choices[0]!.text });
  }
  return known;
}

/**
 * Requests the whole answer.
 * @param prompts how many times the request repeats the prompt
 * @throws Error when the answer is neither the known one nor an error that a client can act on
 */
export async function askWhole(post: Post, { body, text }: KnownCompletion, prompts = 1): Promise<Outcome> {
  const prompt = new Array(prompts).fill(body.prompt);
  const response = await post('/v1/completions', withDefaults({ ...body, prompt }));
  const answer = (await response.json()) as { choices?: { text: string }[]; error?: { code: string } };
  if (response.status !== 200) return refusal(response, answer.error);
  if (answer.choices?.length !== prompts) throw new Error(`${answer.choices?.length} choices of ${prompts}`);
  for (const choice of answer.choices) requireText(choice.text, text, true);
  return { kind: 'complete' };
}

/**
 * Requests a stream.
 * @param isLeaving called at each piece of text; returns whether the client leaves
 */
export async function askStream(
  post: Post,
  { body, text }: KnownCompletion,
  isLeaving: () => boolean = () => false,
): Promise<Outcome> {
  const controller = new AbortController();
  let seen = '';
  let streamed: Streamed;
  try {
    const request = { ...withDefaults(body), stream: true };
    const response = await post('/v1/completions', request, { signal: controller.signal });
    if (response.status !== 200) {
      return refusal(response, ((await response.json()) as { error?: { code: string } }).error);
    }
    streamed = await readStream(response, (piece) => {
      seen += piece;
      if (isLeaving()) controller.abort(leaving);
    });
  } catch (error) {
    if (controller.signal.aborted) {
      requireText(seen, text, false);
      return { kind: 'left' };
    }
    throw error;
  }
  if (!streamed.isDone) throw new Error('a stream ended without [DONE]');
  requireText(seen, text, streamed.error === null);
  return streamed.error ? { kind: 'failed', code: streamed.error.code } : { kind: 'complete' };
}

function refusal({ status, headers }: Response, error: { code: string } | undefined): Outcome {
  if (!error) throw new Error(`status ${status} without an error`);
  if (status !== 429 && status !== 503) return { kind: 'failed', code: error.code };
  const retryAfterSeconds = Number(headers.get('retry-after') ?? Number.NaN);
  if (!(retryAfterSeconds >= 1)) throw new Error(`status ${status} without Retry-After`);
  return { kind: 'refused', status, retryAfterSeconds };
}

function requireText(actual: string, expected: string, isWhole: boolean): void {
  if (isWhole ? actual === expected : expected.startsWith(actual)) return;
  throw new Error(`a text of another request? ${JSON.stringify({ actual, expected })}`);
}
