/** Maximum values in a model's description: above those of published models, and small enough to allocate for. */
export const modelLimits = {
  layers: 1024,
  heads: 4096,
  headSize: 4096,
  /** Width of a layer's representation and of the computations inside a layer. */
  width: 2 ** 20,
  vocab: 2 ** 22,
  /** Positions, windows and lengths in tokens. */
  positions: 2 ** 24,
  /** Blocks of AltUp, and the stride of Sequence-AltUp. */
  blocks: 64,
  experts: 4096,
  /** Rows of the table of relative positions. */
  distance: 2 ** 15,
} as const;
