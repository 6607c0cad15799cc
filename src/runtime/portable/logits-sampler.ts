import type { SampledToken } from '../../sampling/sampled-token.ts';
import { Sampler } from '../../sampling/sampler.ts';
import { SamplingError } from '../../sampling/sampling-error.ts';
import type { SamplingState } from '../../sampling/sampling-state.ts';
import { promptTokenLogprobs } from '../../sampling/token-logprobs.ts';
import type { DecodeRow, PrefillResult, Sampling, Scoring } from '../session.ts';

/** Requested results of a prefill, in addition to the filled cache. */
interface PrefillWants {
  sampling: Sampling | null;
  scoring: Scoring | undefined;
}

/** Turns logits into a Session's results, for sessions that get their logits as arrays. */
export class LogitsSampler {
  readonly #vocabSize: number;
  readonly #sampler: Sampler;

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#sampler = new Sampler(vocabSize);
  }

  /** Rows whose logits are needed, ascending, in a chunk of `length` tokens. */
  rowsOf(length: number, { sampling, scoring }: PrefillWants): number[] {
    const scored = scoring?.followers.length ?? 0;
    const rows = Array.from({ length: scored }, (_, row) => row);
    return sampling !== null && scored < length ? [...rows, length - 1] : rows;
  }

  /**
   * @param logits fp32 [rows × vocabSize], for the rows that rowsOf returns
   * @throws SamplingError
   */
  prefilled(logits: Float32Array, { sampling, scoring }: PrefillWants): PrefillResult {
    const scores = (scoring?.followers ?? []).map((token, row) =>
      promptTokenLogprobs(this.#rowOf(logits, row), token, scoring!.alternatives),
    );
    const last = logits.subarray(logits.length - this.#vocabSize);
    const sampled = sampling === null ? null : this.#sampler.sample(last, sampling as SamplingState);
    return { sampled, scores };
  }

  /** @param logits fp32 [rows × vocabSize] */
  decoded(logits: Float32Array, rows: readonly DecodeRow[]): (SampledToken | SamplingError | null)[] {
    return rows.map(({ sampling }, row) => {
      if (sampling === null) return null;
      try {
        return this.#sampler.sample(this.#rowOf(logits, row), sampling as SamplingState);
      } catch (error) {
        if (error instanceof SamplingError) return error;
        throw error;
      }
    });
  }

  #rowOf(logits: Float32Array, row: number): Float32Array {
    return logits.subarray(row * this.#vocabSize, (row + 1) * this.#vocabSize);
  }
}
