import { readManifest } from '../../src/catalog/manifest-file.ts';
import { openSession } from '../../src/runtime/open-session.ts';
import type { Runtime, Sampling, Session } from '../../src/runtime/session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { samplingRequest } from './sampling-request.ts';
import { seededRandom } from './seeded-random.ts';

/** A model's greedy tokens for each prompt: alone, and while prompts come and go in one ragged batch. */
export interface SessionTokens {
  alone: number[][];
  together: number[][];
  /** Of each prompt; none without an encoder. */
  embeddings: { length: number; embedding: number[] }[];
}

/** Prompt lengths, and the step at which each joins the batch. Few, because a software GPU takes a second per step. */
const prompts = [
  { length: 3, joins: 0 },
  { length: 40, joins: 0 },
  { length: 17, joins: 2 },
];
const generated = 5;
const slots = 3;

interface Text {
  prompt: number[];
  /** Tokens that the decoder has read or reads next. */
  decoder: number[];
  given: number;
  sampling: Sampling;
}

function texts(session: Session, decoderStart: number | null): Text[] {
  const random = seededRandom(7);
  return prompts.map(({ length }) => {
    const prompt = Array.from({ length }, () => 3 + random.below(session.vocabSize - 3));
    const decoder = decoderStart === null ? [...prompt] : [decoderStart];
    return { prompt, decoder, given: decoder.length, sampling: session.startSampling(samplingRequest()) };
  });
}

/** Prefills a text into a slot, its prompt in chunks, and adds its first generated token. */
async function join(session: Session, slot: number, text: Text): Promise<void> {
  if (session.encoderCapacity > 0) await session.encode(slot, text.prompt);
  for (let past = 0; past < text.given; past += 16) {
    const chunk = text.decoder.slice(past, Math.min(past + 16, text.given));
    const isLast = past + chunk.length === text.given;
    const { sampled } = await session.prefill(slot, chunk, past, isLast ? text.sampling : null);
    if (sampled) text.decoder.push(sampled.token);
  }
}

async function step(session: Session, batch: readonly Text[]): Promise<void> {
  const rows = batch.map(({ decoder, sampling }) => ({
    token: decoder.at(-1)!,
    past: decoder.length - 1,
    sampling,
  }));
  const results = await session.decode(rows);
  for (const [row, text] of batch.entries()) text.decoder.push((results[row] as SampledToken).token);
}

const isDone = (text: Text) => text.decoder.length - text.given >= generated;
const result = (all: readonly Text[]) => all.map(({ decoder, given }) => decoder.slice(given));

async function alone(session: Session, all: readonly Text[]): Promise<number[][]> {
  for (const text of all) {
    await join(session, 0, text);
    while (!isDone(text)) await step(session, [text]);
  }
  return result(all);
}

/** Runs the texts as one batch. The last slot's text replaces a finished one; a new text waits for a free slot. */
async function together(session: Session, all: readonly Text[]): Promise<number[][]> {
  const batch: Text[] = [];
  const waiting = [...all];
  for (let count = 0; waiting.length + batch.length > 0; count += 1) {
    while (waiting[0] && batch.length < slots && prompts[all.indexOf(waiting[0])]!.joins <= count) {
      const text = waiting.shift()!;
      await join(session, batch.length, text);
      batch.push(text);
    }
    await step(session, batch);
    for (let slot = batch.length - 1; slot >= 0; slot -= 1) {
      if (!isDone(batch[slot]!)) continue;
      const last = batch.pop()!;
      if (slot === batch.length) continue;
      session.copySlot(batch.length, slot, last.decoder.length - 1);
      batch[slot] = last;
    }
  }
  return result(all);
}

/** @param folder an export folder */
async function sessionTokens(folder: string, runtime: Runtime): Promise<SessionTokens> {
  const { decoderStart } = (await readManifest(folder)).specialTokens;
  const session = await openSession({ folder, slots, maxContext: 128, threads: 2 }, runtime);
  const found: SessionTokens = {
    alone: await alone(session, texts(session, decoderStart)),
    together: await together(session, texts(session, decoderStart)),
    embeddings: [],
  };
  for (const { prompt } of session.encoderWidth > 0 ? texts(session, decoderStart) : [])
    found.embeddings.push({ length: prompt.length, embedding: Array.from(await session.embed(prompt)) });
  await session.close();
  return found;
}

// node session-tokens.ts <backend> <execution provider> <export folder>…: prints each folder's tokens as a JSON line.
if (import.meta.main) {
  const [backend, executionProvider, ...folders] = process.argv.slice(2);
  for (const folder of folders) {
    console.log(JSON.stringify(await sessionTokens(folder, { backend, executionProvider } as Runtime)));
  }
}
