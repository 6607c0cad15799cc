import { AltUpStream } from '../../altup/altup-stream.ts';
import { denseStream, type ResidualStream } from '../../altup/residual-stream.ts';
import { encoderAxis, type T5Graph } from './graph-parts.ts';

/**
 * The residual stream of one stack. Plain AltUp concatenates the blocks at the end of the decoder. The encoder always
 * sums them, so that cross-attention reads d numbers per token in every variant.
 */
export function residualStream(
  { graph, weights, config }: T5Graph,
  side: 'encoder' | 'decoder',
): ResidualStream {
  const { altup, dModel } = config;
  if (!altup) return denseStream;
  const { numBlocks: K, recycled, selection } = altup;
  const layers = side === 'encoder' ? config.encoderLayers : config.decoderLayers;
  const prefix = (layer: number) => `${side}.block.${layer}.altup`;
  for (let layer = 0; layer < layers; layer += 1) {
    graph.weight(weights.asStored(`${prefix(layer)}.prediction_coefs`, [K, K]));
    graph.weight(weights.asStored(`${prefix(layer)}.correction_coefs`, [K]));
  }
  return new AltUpStream(graph, {
    path: `/${side}`,
    sequence: side === 'encoder' ? encoderAxis(config) : 'sequence',
    layers,
    numBlocks: K,
    d: dModel,
    expand: recycled ? 'replicate' : 'split',
    collapse: recycled || side === 'encoder' ? 'sum' : 'concatenate',
    activeBlock: (layer) => (selection === 'alternating' ? layer % K : 0),
    predictionCoefs: (layer) => `${prefix(layer)}.prediction_coefs`,
    correctionCoefs: (layer) => `${prefix(layer)}.correction_coefs`,
  });
}
