import type { Session } from '../../src/runtime/session.ts';
import type { SampledToken } from '../../src/sampling/sampled-token.ts';
import { samplingRequest } from './sampling-request.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';

interface Text {
  prompt: number[];
  tokens: number[];
}

function randomTokens(random: SeededRandom, count: number, vocabSize: number): number[] {
  return Array.from({ length: count }, () => 3 + random.below(vocabSize - 3));
}

/** Prefills prompts of different lengths in chunks, then decodes them greedily as a batch that loses a slot midway. */
export async function ragged(session: Session, seed: number): Promise<number[][]> {
  const random = seededRandom(seed);
  const hasEncoder = session.encoderWidth > 0;
  const texts: Text[] = [3, 70, 17].map((length) => {
    const prompt = randomTokens(random, length, session.vocabSize);
    const begun = randomTokens(random, 1 + random.below(40), session.vocabSize);
    return { prompt, tokens: [...(hasEncoder ? [0] : prompt), ...begun] };
  });
  const samplings = texts.map(() => session.startSampling(samplingRequest()));
  for (const [slot, { prompt, tokens }] of texts.entries()) {
    if (hasEncoder) await session.encode(slot, prompt);
    const given = tokens.length;
    for (let past = 0; past < given; ) {
      const chunk = tokens.slice(past, past + 1 + random.below(12));
      const isLast = past + chunk.length === given;
      const { sampled } = await session.prefill(slot, chunk, past, isLast ? samplings[slot]! : null);
      if (sampled) tokens.push(sampled.token);
      past += chunk.length;
    }
  }
  let active = texts;
  for (let step = 0; step < 40; step += 1) {
    if (step === 20) {
      const [, second, third] = active as [Text, Text, Text];
      session.copySlot(2, 0, third.tokens.length - 1);
      active = [third, second];
    }
    const results = await session.decode(
      active.map((text) => ({
        token: text.tokens.at(-1) ?? 0,
        past: text.tokens.length - 1,
        sampling: samplings[texts.indexOf(text)]!,
      })),
    );
    for (const [slot, { tokens }] of active.entries()) tokens.push((results[slot] as SampledToken).token);
  }
  return texts.map(({ tokens }) => tokens);
}

/** The tokens after a prompt that is alone in its session, each with its lead over the second-likeliest token. */
export async function alone(
  session: Session,
  prompt: readonly number[],
  count: number,
): Promise<{ token: number; margin: number }[]> {
  const sampling = session.startSampling(samplingRequest({ logprobs: 2 }));
  const hasEncoder = session.encoderWidth > 0;
  if (hasEncoder) await session.encode(0, prompt);
  const begun = hasEncoder ? [0] : prompt;
  let { sampled } = await session.prefill(0, begun, 0, sampling);
  const chosen: { token: number; margin: number }[] = [];
  while (sampled !== null) {
    const [best, second] = sampled.logprobs?.top ?? [];
    chosen.push({ token: sampled.token, margin: (best?.logprob ?? 0) - (second?.logprob ?? 0) });
    if (chosen.length === count) break;
    const [result] = await session.decode([
      { token: sampled.token, past: begun.length - 1 + chosen.length, sampling },
    ]);
    sampled = result as SampledToken;
  }
  return chosen;
}
