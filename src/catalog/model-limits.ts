/** The largest numbers a model may be described with: beyond published ones, and small enough to make things of. */
export const modelLimits = {
  layers: 1024,
  heads: 4096,
  headSize: 4096,
  /** Of a layer's representation, and of what is computed inside one. */
  width: 2 ** 20,
  vocab: 2 ** 22,
  /** Positions, windows and lengths in tokens. */
  positions: 2 ** 24,
  /** Of AltUp; tokens of which Sequence-AltUp computes one. */
  blocks: 64,
  experts: 4096,
  /** Relative positions are looked up in a table of as many rows. */
  distance: 2 ** 15,
} as const;
