import type { FunctionSet } from '../../src/export/altup/domain.ts';
import { type Attributes, float, int, text } from '../../src/export/onnx/attributes.ts';

/** A node of `ai.altup` with the shapes of its inputs and outputs. */
export interface OperatorCase {
  op: string;
  inputs: Record<string, number[]>;
  outputs: Record<string, number[]>;
  attributes: Attributes;
  /** The set of function bodies that defines the operator. */
  set: FunctionSet;
}

export interface AltUpShape {
  /** K */
  blocks: number;
  /** Axes between the blocks and the width. */
  tokens: number[];
  d: number;
}

/** Each operator and mode on X [K, ...tokens, d], with coefficients shared by all tokens or one set per token. */
export function altupOperators(shape: AltUpShape, active: number, next: number): OperatorCase[] {
  const { blocks: K, tokens, d } = shape;
  const X = [K, ...tokens, d];
  const Y = [...tokens, d];
  const wide = [...tokens, K * d];
  const stride = 2;
  const time = tokens.at(-1) ?? 1;
  const lead = tokens.slice(0, -1);
  const mixing = (['paper', 'gemma'] as const).flatMap((set): OperatorCase[] => {
    const own = set === 'paper' ? [] : tokens;
    const [P, G] = [
      [...own, K, K],
      [...own, K],
    ];
    const fused = (reads: string): OperatorCase => ({
      op: 'CorrectPredict',
      inputs: { predicted: X, computed: Y, correction_coefs: G, next_prediction_coefs: P },
      outputs: { next_predicted: X, next_read: Y },
      attributes: { active: int(active), next: int(next), reads: text(reads) },
      set,
    });
    return [
      {
        op: 'Predict',
        inputs: { blocks: X, prediction_coefs: P },
        outputs: { predicted: X },
        attributes: {},
        set,
      },
      {
        op: 'Correct',
        inputs: { predicted: X, computed: Y, correction_coefs: G },
        outputs: { corrected: X },
        attributes: { active: int(active) },
        set,
      },
      fused('corrected'),
      fused('predicted'),
    ];
  });
  const expand = (mode: string, x: number[], set: OperatorCase['set'] = 'paper'): OperatorCase => ({
    op: 'Expand',
    inputs: { x },
    outputs: { blocks: X },
    attributes: { mode: text(mode), num_blocks: int(K) },
    set,
  });
  const collapse = (mode: string, x: number[], set: OperatorCase['set'] = 'paper'): OperatorCase => ({
    op: 'Collapse',
    inputs: { blocks: X },
    outputs: { x },
    attributes: { mode: text(mode) },
    set,
  });
  return [
    {
      op: 'Select',
      inputs: { blocks: X },
      outputs: { block: Y },
      attributes: { active: int(active) },
      set: 'paper',
    },
    ...mixing,
    expand('split', wide),
    expand('replicate', Y),
    expand('match', wide, 'gemma'),
    collapse('concatenate', wide),
    collapse('sum', Y),
    collapse('match', Y, 'gemma'),
    {
      op: 'GaussianTopK',
      inputs: { gate: wide },
      outputs: { sparse: wide },
      attributes: { std_multiplier: float(0.5) },
      set: 'gemma',
    },
    {
      op: 'SequencePredictCorrect',
      inputs: {
        x: [...lead, time, d],
        computed: [...lead, Math.ceil(time / stride), d],
        sequence_coefs: [3],
      },
      outputs: { y: [...lead, time, d] },
      attributes: { stride: int(stride) },
      set: 'paper',
    },
  ];
}
