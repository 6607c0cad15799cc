import { expect, it } from 'vitest';
import { int, text } from '../../src/export/onnx/attributes.ts';
import { altupOperators, type OperatorCase } from './altup-operators.ts';
import { describeNative } from './native-addon.ts';
import { runOperators } from './run-operators.ts';

const [K, T, d] = [2, 3, 8] as const;
const operators = altupOperators({ blocks: K, tokens: [T], d }, 1, 0);

interface Mistake {
  op: string;
  /** Selects among the operator's cases, by an attribute such as `mode` or by its set. */
  where?: (operator: OperatorCase) => boolean;
  given?: Record<string, number[]>;
  attributes?: OperatorCase['attributes'];
  says: string;
}

const isPerToken = ({ set }: OperatorCase) => set === 'gemma';
const expandsWide = ({ inputs }: OperatorCase) => inputs.x?.[1] === K * d;

const mistakes: Mistake[] = [
  { op: 'Select', given: { blocks: [8] }, says: 'blocks [8] is not [K, ..., d]' },
  { op: 'Select', attributes: { active: int(2) }, says: 'attribute active is 2, but there are 2 blocks' },
  { op: 'Select', attributes: { active: int(-1) }, says: 'attribute active is -1, below zero' },
  { op: 'Select', attributes: {}, says: 'attribute active is missing' },
  { op: 'Select', given: { blocks: [17, 3, 8] }, says: 'blocks [17, 3, 8] has not 1 to 16 blocks' },
  {
    op: 'Predict',
    given: { prediction_coefs: [2, 3] },
    says: 'prediction_coefs [2, 3] does not fit blocks [2, 3, 8]: [2, 2] wanted',
  },
  {
    op: 'Predict',
    given: { blocks: [3, 3, 8] },
    says: 'prediction_coefs [2, 2] does not fit blocks [3, 3, 8]: [3, 3] wanted',
  },
  {
    op: 'Predict',
    where: isPerToken,
    given: { prediction_coefs: [4, 2, 2] },
    says: 'prediction_coefs [4, 2, 2] does not fit blocks [2, 3, 8]: [2, 2] wanted, or one of these per token',
  },
  {
    op: 'Correct',
    given: { computed: [3, 4] },
    says: 'computed [3, 4] is not one block of predicted [2, 3, 8]',
  },
  {
    op: 'Correct',
    given: { computed: [1, 3, 8] },
    says: 'computed [1, 3, 8] is not one block of predicted [2, 3, 8]',
  },
  {
    op: 'Correct',
    given: { correction_coefs: [3] },
    says: 'correction_coefs [3] does not fit predicted [2, 3, 8]: [2] wanted',
  },
  {
    op: 'Correct',
    where: isPerToken,
    given: { correction_coefs: [3, 3] },
    says: 'correction_coefs [3, 3] does not fit predicted [2, 3, 8]: [2] wanted',
  },
  { op: 'Correct', attributes: { active: int(5) }, says: 'attribute active is 5, but there are 2 blocks' },
  {
    op: 'CorrectPredict',
    given: { computed: [3, 4] },
    says: 'computed [3, 4] is not one block of predicted [2, 3, 8]',
  },
  {
    op: 'CorrectPredict',
    given: { correction_coefs: [3] },
    says: 'correction_coefs [3] does not fit predicted [2, 3, 8]: [2] wanted',
  },
  {
    op: 'CorrectPredict',
    given: { next_prediction_coefs: [4] },
    says: 'next_prediction_coefs [4] does not fit predicted [2, 3, 8]: [2, 2] wanted',
  },
  {
    op: 'CorrectPredict',
    attributes: { active: int(0), next: int(2), reads: text('corrected') },
    says: 'attribute next is 2, but there are 2 blocks',
  },
  {
    op: 'CorrectPredict',
    attributes: { active: int(0), next: int(0), reads: text('both') },
    says: 'attribute reads is "both", not corrected or predicted',
  },
  { op: 'Expand', where: expandsWide, given: { x: [3, 15] }, says: 'x [3, 15] does not split into 2 blocks' },
  {
    op: 'Expand',
    attributes: { mode: text('split'), num_blocks: int(0) },
    says: 'attribute num_blocks is 0, not 1 to 16',
  },
  {
    op: 'Expand',
    attributes: { mode: text('fold'), num_blocks: int(2) },
    says: 'attribute mode is "fold", not split, replicate or match',
  },
  {
    op: 'Collapse',
    attributes: { mode: text('mean') },
    says: 'attribute mode is "mean", not concatenate, sum or match',
  },
  { op: 'Collapse', given: { blocks: [8] }, says: 'blocks [8] is not [K, ..., d]' },
  { op: 'GaussianTopK', attributes: {}, says: 'attribute std_multiplier is missing' },
  { op: 'GaussianTopK', given: { gate: [] }, says: 'gate has no dimension to take the mean over' },
  {
    op: 'SequencePredictCorrect',
    given: { computed: [3, 8] },
    says: 'computed [3, 8] is not x [3, 8] with every token of stride 2: 2 of them wanted',
  },
  {
    op: 'SequencePredictCorrect',
    given: { computed: [2, 4] },
    says: 'computed [2, 4] is not x [3, 8] with every token of stride 2: 2 of them wanted',
  },
  {
    op: 'SequencePredictCorrect',
    given: { sequence_coefs: [4] },
    says: 'sequence_coefs [4] does not fit x [3, 8]: [3] wanted',
  },
  { op: 'SequencePredictCorrect', given: { x: [8] }, says: 'x [8] is not [..., T, d]' },
  {
    op: 'SequencePredictCorrect',
    attributes: { stride: int(0) },
    says: 'attribute stride is 0, not 1 or more',
  },
];

describeNative('kernels of ai.altup refuse what does not fit', (native) => {
  it.each(mistakes)('$op: $says', async ({ op, where = () => true, given = {}, attributes, says }) => {
    const found = operators.find((operator) => operator.op === op && where(operator))!;
    const operator = { ...found, attributes: attributes ?? found.attributes };
    const running = runOperators(native, [operator], { kernels: true, storage: 'float32', given });
    await expect(running).rejects.toThrow(`ai.altup.${op}: ${says}`);
  });

  it.each(['Predict', 'Correct', 'CorrectPredict', 'SequencePredictCorrect'])(
    '%s: inputs of two types',
    async (op) => {
      const operator = operators.find((one) => one.op === op)!;
      const last = Object.keys(operator.inputs).at(-1)!;
      const options = { kernels: true, storage: 'float32', givenType: { [last]: 'float16' } } as const;
      // ONNX Runtime refuses it before it calls a kernel.
      await expect(runOperators(native, [operator], options)).rejects.toThrow(
        `no kernel def matches node inputs for Op: ${op}`,
      );
    },
  );
});
