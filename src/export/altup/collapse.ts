import { int, ints } from '../onnx/attributes.ts';
import { FunctionBody } from '../onnx/function-body.ts';
import { altupDomain } from './domain.ts';
import { matchMagnitude } from './match-magnitude.ts';

const signature = {
  domain: altupDomain,
  name: 'Collapse',
  inputs: ['blocks'],
  outputs: ['x'],
  attributes: ['mode'],
  doc: 'K blocks [K, ..., d] to one tensor: mode "concatenate" gives [..., K*d], mode "sum" gives [..., d], "match" the mean [..., d] of block 0 and of the others at its magnitude.',
};

/** Collapse: X [K, …, d] → `concatenate` [..., K·d] (plain AltUp) or `sum` [..., d] (Recycled-AltUp). */
export function collapseFunction() {
  const body = new FunctionBody(signature);
  const one = body.integers('one', [1]);
  const zero = body.integers('zero', [0]);
  const isSum = body.add('Equal', 'is_sum', [body.textAttribute('mode'), body.text('sum', 'sum')]);
  // One ReduceSum serves both modes: over axis 0 it leaves 1 block (sum), over no axis K blocks (concatenate).
  const axes = body.add('Slice', 'axes', [zero, zero, body.add('Where', 'axis_count', [isSum, one, zero])]);
  const left = body.add('ReduceSum', 'left', ['blocks', axes], {
    attributes: { keepdims: int(1), noop_with_empty_axes: int(1) },
  });
  const lead = body.add('Shape', 'lead', ['blocks'], { attributes: { start: int(1), end: int(-1) } });
  const d = body.add('Shape', 'd', ['blocks'], { attributes: { start: int(-1) } });
  const count = body.add('Shape', 'count', [left], { attributes: { end: int(1) } });
  const concat = { attributes: { axis: int(0) } };
  const rowsShape = body.add('Concat', 'rows_shape', [count, body.integers('all', [-1]), d], concat);
  const rows = body.add('Reshape', 'rows', [left, rowsShape]);
  const blocksInside = body.add('Transpose', 'blocks_inside', [rows], {
    attributes: { perm: ints([1, 0, 2]) },
  });
  const width = body.add('Mul', 'width', [count, d]);
  const shape = body.add('Concat', 'x_shape', [lead, width], concat);
  body.add('Reshape', 'x', [blocksInside, shape], { attributes: { allowzero: int(1) } });
  return body.toProto();
}

/** Collapse by `match` (Gemma 3n): the mean [..., d] of block 0 and the others, scaled to its magnitude. */
export function collapseMatchFunction() {
  const body = new FunctionBody(signature);
  matchMagnitude(body, 'matched', 'blocks');
  const blockAxis = body.integers('block_axis', [0]);
  const mean = body.add('ReduceMean', 'mean', ['matched', blockAxis], { attributes: { keepdims: int(0) } });
  body.add('CastLike', 'x', [mean, 'blocks']);
  return body.toProto();
}
