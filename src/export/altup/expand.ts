import { int, ints } from '../onnx/attributes.ts';
import { FunctionBody } from '../onnx/function-body.ts';
import { altupDomain } from './domain.ts';
import { matchMagnitude } from './match-magnitude.ts';

const signature = {
  domain: altupDomain,
  name: 'Expand',
  inputs: ['x'],
  outputs: ['blocks'],
  attributes: ['mode', 'num_blocks'],
  doc: 'x [..., w] to K blocks [K, ..., d]: mode "split" cuts w = K*d, "replicate" copies w = d, "match" splits and gives blocks 1 to K-1 the magnitude of block 0.',
};

const concat = { attributes: { axis: int(0) } };
const blocksFirst = { attributes: { perm: ints([1, 0, 2]) } };

/**
 * Expand: x → X [K, …, d]. `split` cuts x [..., K·d] into K blocks (plain AltUp); `replicate` makes K copies of
 * x [..., d] (Recycled-AltUp).
 */
export function expandFunction() {
  const body = new FunctionBody(signature);
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
  return body.toProto();
}

/**
 * Expand by `match` (Gemma 3n): x [..., K·d] holds the embedding and K−1 projections of it side by side. All become
 * blocks with the embedding's magnitude.
 */
export function expandMatchFunction() {
  const body = new FunctionBody(signature);
  const count = blockCount(body);
  const { cut, shape } = cutInto(body, count, count);
  moveBlocksFirst(body, 'split', cut, shape);
  matchMagnitude(body, 'matched', 'split');
  body.add('CastLike', 'blocks', ['matched', 'x']);
  return body.toProto();
}

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
