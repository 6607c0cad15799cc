import { int, ints } from '../onnx/attributes.ts';
import type { FunctionBody } from '../onnx/function-body.ts';
import { elementTypes } from '../onnx/values.ts';
import type { AltUpOperator } from './domain.ts';

const concat = { attributes: { axis: int(0) } };
const blocksFirst = { attributes: { perm: ints([1, 0, 2]) } };

/**
 * Expand: x → X [K, …, d]. `split` cuts x [..., K·d] into K blocks (plain AltUp); `replicate` makes K copies of
 * x [..., d] (Recycled-AltUp).
 */
export const expand: AltUpOperator = {
  name: 'Expand',
  inputs: ['x'],
  outputs: ['blocks'],
  attributes: ['mode', 'num_blocks'],
  doc: 'x [..., w] to K blocks [K, ..., d]: mode "split" cuts w = K*d, "replicate" copies w = d, "match" splits and gives blocks 1 to K-1 the magnitude of block 0.',
  bodies: {
    paper: (body) => {
      const one = body.integers('one', [1]);
      const count = blockCount(body);
      // One broadcast serves both modes: it turns `given` blocks (K or 1) into K.
      const isReplicate = body.add('Equal', 'is_replicate', [
        body.textAttribute('mode'),
        body.text('replicate', 'replicate'),
      ]);
      const given = body.add('Where', 'given', [isReplicate, one, count]);
      const { cut, shape } = cutInto(body, given, count);
      const wide = body.add('Concat', 'wide_shape', [one, count, one], concat);
      const broadcast = body.add('Expand', 'wide', [cut, wide]);
      moveBlocksFirst(body, 'blocks', broadcast, shape);
    },
    /**
     * Expand by `match` (Gemma 3n): x [..., K·d] holds the embedding and K−1 projections of it side by side. All become
     * blocks with the embedding's magnitude.
     */
    gemma: (body) => {
      const count = blockCount(body);
      const { cut, shape } = cutInto(body, count, count);
      moveBlocksFirst(body, 'split', cut, shape);
      matchMagnitude(body, 'matched', 'split');
      body.add('CastLike', 'blocks', ['matched', 'x']);
    },
  },
};

/** Collapse: X [K, …, d] → `concatenate` [..., K·d] (plain AltUp) or `sum` [..., d] (Recycled-AltUp). */
export const collapse: AltUpOperator = {
  name: 'Collapse',
  inputs: ['blocks'],
  outputs: ['x'],
  attributes: ['mode'],
  doc: 'K blocks [K, ..., d] to one tensor: mode "concatenate" gives [..., K*d], mode "sum" gives [..., d], "match" the mean [..., d] of block 0 and of the others at its magnitude.',
  bodies: {
    paper: (body) => {
      const one = body.integers('one', [1]);
      const zero = body.integers('zero', [0]);
      const isSum = body.add('Equal', 'is_sum', [body.textAttribute('mode'), body.text('sum', 'sum')]);
      // One ReduceSum serves both modes: over axis 0 it leaves 1 block (sum), over no axis K blocks (concatenate).
      const axes = body.add('Slice', 'axes', [
        zero,
        zero,
        body.add('Where', 'axis_count', [isSum, one, zero]),
      ]);
      const left = body.add('ReduceSum', 'left', ['blocks', axes], {
        attributes: { keepdims: int(1), noop_with_empty_axes: int(1) },
      });
      const lead = body.add('Shape', 'lead', ['blocks'], { attributes: { start: int(1), end: int(-1) } });
      const d = body.add('Shape', 'd', ['blocks'], { attributes: { start: int(-1) } });
      const count = body.add('Shape', 'count', [left], { attributes: { end: int(1) } });
      const rowsShape = body.add('Concat', 'rows_shape', [count, body.integers('all', [-1]), d], concat);
      const rows = body.add('Reshape', 'rows', [left, rowsShape]);
      const blocksInside = body.add('Transpose', 'blocks_inside', [rows], {
        attributes: { perm: ints([1, 0, 2]) },
      });
      const width = body.add('Mul', 'width', [count, d]);
      const shape = body.add('Concat', 'x_shape', [lead, width], concat);
      body.add('Reshape', 'x', [blocksInside, shape], { attributes: { allowzero: int(1) } });
    },
    /** Collapse by `match` (Gemma 3n): the mean [..., d] of block 0 and the others, scaled to its magnitude. */
    gemma: (body) => {
      matchMagnitude(body, 'matched', 'blocks');
      const blockAxis = body.integers('block_axis', [0]);
      const mean = body.add('ReduceMean', 'mean', ['matched', blockAxis], {
        attributes: { keepdims: int(0) },
      });
      body.add('CastLike', 'x', [mean, 'blocks']);
    },
  },
};

/** The attribute `num_blocks` as int64 [1]. */
const blockCount = (body: FunctionBody) =>
  body.add('Reshape', 'count', [body.integerAttribute('num_blocks'), body.integers('flat', [1])]);

/** x [..., given·d] → [tokens, given, d], and the shape of X for `count` blocks. */
function cutInto(body: FunctionBody, given: string, count: string): { cut: string; shape: string } {
  const lead = body.add('Shape', 'lead', ['x'], { attributes: { end: int(-1) } });
  const width = body.add('Shape', 'width', ['x'], { attributes: { start: int(-1) } });
  const d = body.add('Div', 'd', [width, given]);
  const rows = body.add('Concat', 'rows_shape', [body.integers('all', [-1]), given, d], concat);
  return {
    cut: body.add('Reshape', 'rows', ['x', rows]),
    shape: body.add('Concat', 'blocks_shape', [count, lead, d], concat),
  };
}

/** [tokens, K, d] → X of `shape`. */
function moveBlocksFirst(body: FunctionBody, output: string, rows: string, shape: string): void {
  const moved = body.add('Transpose', 'moved', [rows], blocksFirst);
  body.add('Reshape', output, [moved, shape], { attributes: { allowzero: int(1) } });
}

/** Lower bound of the mean square in the divisor (Gemma3nTextModel in Hugging Face Transformers). */
const leastMeanSquare = 1e-5;

/**
 * X [K, …, d] → float32 [K, …, d]. Scales each token in blocks 1 to K−1 to its root mean square in block 0:
 * xⁱ·√(mean((x⁰)²) / max(mean((xⁱ)²), 1e-5)).
 */
function matchMagnitude(body: FunctionBody, output: string, blocks: string): void {
  const wide = body.add('Cast', 'wide', [blocks], { attributes: { to: int(elementTypes.float32) } });
  const [zero, one, end] = [
    body.integers('zero', [0]),
    body.integers('one', [1]),
    body.integers('end', [Number.MAX_SAFE_INTEGER]),
  ];
  const first = body.add('Slice', 'first', [wide, zero, one, zero]);
  const others = body.add('Slice', 'others', [wide, one, end, zero]);
  const meanSquare = (of: string) =>
    body.add('ReduceMean', `${of}_mean_square`, [
      body.add('Mul', `${of}_square`, [of, of]),
      body.integers(`${of}_last`, [-1]),
    ]);
  const least = body.add('Max', 'least', [meanSquare(others), body.float('floor', leastMeanSquare)]);
  const scale = body.add('Sqrt', 'scale', [body.add('Div', 'ratio', [meanSquare(first), least])]);
  const scaled = body.add('Mul', 'scaled', [others, scale]);
  body.add('Concat', output, [first, scaled], { attributes: { axis: int(0) } });
}
