import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { modelLimits } from '../../../catalog/model-limits.ts';

/** Sparse experts beside each feed-forward layer: `moe` of config.json. */
export interface MoeConfig {
  numExperts: number;
  /** Hidden width of one expert. */
  expertDFf: number;
  /** How many experts compute a token. */
  topK: number;
}

export function readMoe(moe: ConfigReader | null): MoeConfig | null {
  if (!moe) return null;
  moe.allowOnly(['num_experts', 'expert_d_ff', 'top_k']);
  const numExperts = moe.integer('num_experts', [1, modelLimits.experts]);
  const topK = moe.integer('top_k', [1, modelLimits.experts], { missing: 1 });
  if (topK > numExperts) throw moe.refuse('top_k', `at most the ${numExperts} experts there are`);
  return { numExperts, expertDFf: moe.integer('expert_d_ff', [1, modelLimits.width]), topK };
}
