import type { ConfigReader } from '../../../catalog/config-reader.ts';
import { modelLimits } from '../../../catalog/model-limits.ts';

/** How the encoder saves tokens: `altup.sequence` of config.json. */
export interface SequenceConfig {
  method: 'altup' | 'skip' | 'average';
  /** k: one token of each k is computed, or their mean. */
  stride: number;
  /** The encoder layers that skip tokens, from 0, both included; every layer where tokens are averaged. */
  firstLayer: number;
  lastLayer: number;
}

/** @param encoderLayers that layers counted from the end are counted from */
export function readSequence(sequence: ConfigReader | null, encoderLayers: number): SequenceConfig | null {
  if (!sequence) return null;
  sequence.allowOnly(['stride', 'method', 'first_layer', 'last_layer']);
  const method = sequence.oneOf('method', ['altup', 'skip', 'average'], { missing: 'altup' });
  const stride = sequence.integer('stride', [1, modelLimits.blocks]);
  if (method === 'average') {
    for (const field of ['first_layer', 'last_layer']) {
      if (sequence.has(field)) throw sequence.refuse(field, 'none: all layers see averaged tokens');
    }
    return { method, stride, firstLayer: 0, lastLayer: encoderLayers - 1 };
  }
  const layer = (field: string, fallback: number) => {
    const given = sequence.integer(field, [-modelLimits.layers, modelLimits.layers], { missing: fallback });
    return given < 0 ? given + encoderLayers : given;
  };
  // The paper's: all but the first and the last.
  const firstLayer = layer('first_layer', 1);
  const lastLayer = layer('last_layer', -2);
  if (firstLayer < 0 || firstLayer >= encoderLayers) {
    throw sequence.refuse('first_layer', `a layer from 0 to ${encoderLayers - 1}, or from −1 backwards`);
  }
  if (lastLayer < firstLayer || lastLayer >= encoderLayers) {
    throw sequence.refuse(
      'last_layer',
      `a layer from ${firstLayer} to ${encoderLayers - 1}, or from −1 backwards`,
    );
  }
  return { method, stride, firstLayer, lastLayer };
}
