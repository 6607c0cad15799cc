import { expect, it } from 'vitest';
import { Sampler } from '../../src/sampling/sampler.ts';
import { SamplingError } from '../../src/sampling/sampling-error.ts';
import { type SamplingParameters, samplingNumbers } from '../../src/sampling/sampling-request.ts';
import { SamplingState } from '../../src/sampling/sampling-state.ts';
import { naiveSample } from '../sampling/naive-sampler.ts';
import { randomLogits, randomSampling } from '../sampling/random-case.ts';
import { samplingRequest } from '../support/sampling-request.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { describeNative } from './native-addon.ts';

const tokensPerRequest = 6;

describeNative('the native sampler gives the bits of the TypeScript one', ({ addon }) => {
  it.each([
    [2, 300],
    [17, 1000],
    [60, 1000],
    [500, 600],
    [2048, 300],
    [32_128, 30],
    [262_400, 5],
  ])('vocabulary of %i, %i requests: tokens and log probabilities', (vocabSize, requests) => {
    const random = seededRandom(vocabSize);
    const sampler = new Sampler(vocabSize);
    const native = new addon.NativeRowSampler(1);
    for (let round = 0; round < requests; round++) {
      const request = randomSampling(random, vocabSize);
      const state = new SamplingState(request);
      const sampling = new addon.NativeSampling(request, vocabSize);
      for (let position = 0; position < tokensPerRequest; position++) {
        const logits = randomLogits(random, vocabSize);
        const { token, logprobs, badLogit } = native.sample(logits, [sampling])[0]!;
        const because = JSON.stringify(request);
        expect(badLogit).toBeNull();
        if (vocabSize <= 60) expect(token, because).toBe(naiveSample(logits, request, state.output));
        if (token === null) {
          expect(() => sampler.sample(logits, state), because).toThrow(/leave no possible next token/);
          break;
        }
        // toEqual compares numbers like Object.is: every bit, including the sign of zero.
        expect({ token, logprobs }, because).toEqual(sampler.sample(logits, state));
      }
    }
  });

  it('rounds the bound of top_n_sigma alike, where the last bit decides about a token', () => {
    const vocabSize = 100;
    const random = seededRandom(13);
    const sampler = new Sampler(vocabSize);
    const native = new addon.NativeRowSampler(1);
    for (let round = 0; round < 1000; round++) {
      const logits = randomLogits(random, vocabSize, 1);
      logits.set([4, 3]);
      const mean = logits.reduce((sum, logit) => sum + logit, 0) / vocabSize;
      const variance = logits.reduce((sum, logit) => sum + (logit - mean) ** 2, 0) / vocabSize;
      // The bound is token 1's logit, but for rounding.
      const topNSigma = 1 / Math.sqrt(variance);
      const request = samplingRequest({ parameters: { temperature: 2, topNSigma, seed: [round, 0] } });
      const sampling = new addon.NativeSampling(request, vocabSize);
      const { token } = native.sample(logits, [sampling])[0]!;
      expect(token, `round ${round}`).toBe(sampler.sample(logits, new SamplingState(request)).token);
      expect(token, `round ${round}`).toBe(naiveSample(logits, request, []));
    }
  });

  it('gives each row of a batch its own, however many threads share them', () => {
    const vocabSize = 300_000;
    const random = seededRandom(9);
    const logits = randomLogits(random, 7 * vocabSize);
    const requests = Array.from({ length: 7 }, () => randomSampling(random, vocabSize));
    const chosen = (threads: number) =>
      new addon.NativeRowSampler(threads).sample(
        logits,
        requests.map((request) => new addon.NativeSampling(request, vocabSize)),
      );
    const alone = requests.map((request, row) => {
      const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
      return new addon.NativeRowSampler(1).sample(own, [new addon.NativeSampling(request, vocabSize)])[0];
    });
    for (const threads of [1, 2, 3, 16]) expect(chosen(threads)).toEqual(alone);
  });

  it('forgets the tokens of a model that is unloaded', () => {
    addon.keepTokenBytes('gone', Uint8Array.of(97, 98), Int32Array.of(1, 1), [0]);
    expect(addon.keptTokenBytes('gone').bytes).toEqual(Uint8Array.of(97, 98));
    addon.forgetTokenBytes('gone');
    expect(() => addon.keptTokenBytes('gone')).toThrow('no vocabulary of gone is kept');
  });

  it('chooses under a grammar what it chooses from the tokens that the grammar allows', async () => {
    const vocabSize = 128;
    const bytes = Uint8Array.from({ length: vocabSize }, (_, id) => id);
    addon.keepTokenBytes('bytes', bytes, new Int32Array(vocabSize).fill(1), [0]);
    const { id: grammar } = await addon.compileGrammar('bytes', { regex: '[a-z]' });
    const letters = Array.from({ length: 26 }, (_, letter) => 97 + letter);
    const native = new addon.NativeRowSampler(1);
    const random = seededRandom(12);
    for (let round = 0; round < 500; round++) {
      const { parameters, ...others } = randomSampling(random, vocabSize);
      const logits = randomLogits(random, vocabSize);
      const choose = (restriction: Partial<SamplingParameters>) => {
        const request = samplingRequest({ ...others, parameters: { ...parameters, ...restriction } });
        return native.sample(logits, [new addon.NativeSampling(request, vocabSize)])[0];
      };
      const expected = choose({ allowedTokens: letters });
      expect(choose({ allowedTokens: null, grammar }), JSON.stringify(parameters)).toEqual(expected);
    }
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses a logit of %d as it does',
    (bad) => {
      for (const temperature of [0, 1]) {
        const request = samplingRequest({ parameters: { temperature } });
        const logits = new Float32Array(40);
        logits[33] = bad;
        const sampling = new addon.NativeSampling(request, 40);
        const [choice] = new addon.NativeRowSampler(1).sample(logits, [sampling]);
        expect(choice).toMatchObject({ token: null, badLogit: { token: 33, value: bad } });
        expect(() => new Sampler(40).sample(logits, new SamplingState(request))).toThrow(SamplingError);
      }
    },
  );

  it.each(Object.keys(samplingNumbers))('reads %s', (name) => {
    const request = samplingRequest({ parameters: { [name]: undefined } });
    expect(() => new addon.NativeSampling(request, 9)).toThrow(name);
  });

  it('refuses a request that names a token outside the vocabulary', () => {
    for (const parameters of [
      { logitBias: [[9, 1] as const] },
      { allowedTokens: [9] },
      { badWords: [[1, 9]] },
    ]) {
      expect(() => new addon.NativeSampling(samplingRequest({ parameters }), 9)).toThrow(/token 9 of a/);
    }
    expect(() => new addon.NativeSampling(samplingRequest({ endTokens: [9] }), 9)).toThrow(/token 9 of a/);
  });
});
