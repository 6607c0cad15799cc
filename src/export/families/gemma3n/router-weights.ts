import { number } from '../gemma/graph-parts.ts';
import type { Gemma3nGraph } from './graph.ts';

export type Coefs = 'prediction_coefs' | 'correction_coefs';

/** Names of the weights, in the graph, from which a layer makes its coefficients. */
export type Router = Record<Coefs | 'norm' | 'router', string>;

/** Puts the routers of all layers into the graph, the coefficients' matrices cut off where the model says so. */
export function routers({ graph, weights, config, prefix }: Gemma3nGraph): Router[] {
  const { hiddenSize: d, altup, layers } = config;
  const { numBlocks: K, coefClip } = altup;
  const bounds =
    coefClip === null
      ? null
      : [number(graph, '/altup/clip/min', -coefClip), number(graph, '/altup/clip/max', coefClip)];
  return layers.map((_, index) => {
    const layer = `${prefix}layers.${index}.altup`;
    const coefs = (kind: Coefs, outputs: number) => {
      const matrix = graph.weight(weights.transposed(`${layer}.${kind}.weight`, [outputs, K]));
      if (bounds === null) return matrix;
      return graph.add('Clip', `/layers.${index}/altup/${kind}`, [matrix, ...bounds]);
    };
    return {
      norm: graph.weight(weights.asStored(`${layer}.router_norm.weight`, [d])),
      router: graph.weight(weights.transposed(`${layer}.modality_router.weight`, [K, d])),
      prediction_coefs: coefs('prediction_coefs', K * K),
      correction_coefs: coefs('correction_coefs', K),
    };
  });
}
