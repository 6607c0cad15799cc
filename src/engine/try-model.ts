import type { Manifest } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import type { Session } from '../runtime/session.ts';
import { SamplingError } from '../sampling/sampling-error.ts';
import { greedy } from '../sampling/sampling-request.ts';

/** Tokens of the trial's prompt. */
const mostTokens = 8;

/**
 * Has a loaded model choose a token: weights can be finite and their products not, in half precision above all, and
 * then no request would be answered. What it leaves in slot 0 is written over.
 * @throws ConfigurationError for a model that computes no number
 */
export async function tryModel(session: Session, manifest: Manifest, folder: string): Promise<void> {
  const { specialTokens, graphs, vocabSize, precision } = manifest;
  const begins = [specialTokens.bos, specialTokens.pad, ...specialTokens.eos].filter((id) => id !== null);
  const tokens = [...new Set([...begins, 0, 1, 2, 3, 4])].filter((id) => id < vocabSize).slice(0, mostTokens);
  const none = { promptTokens: [], endTokens: [], minTokens: 0, logprobs: null };
  const sampling = session.startSampling({ ...none, parameters: greedy });
  try {
    let problem: unknown = null;
    if (graphs.encoder === null) {
      await session.prefill(0, tokens, 0, sampling);
    } else {
      await session.encode(0, tokens);
      [problem] = await session.decode([{ token: specialTokens.decoderStart!, past: 0, sampling }]);
    }
    if (problem instanceof SamplingError) throw problem;
  } catch (error) {
    if (!(error instanceof SamplingError)) throw error;
    throw new ConfigurationError(
      `${folder}: no answer can be computed in ${precision}: ${error.message} The weights are damaged or too large for it.`,
      { cause: error },
    );
  } finally {
    sampling.end();
  }
}
