import { int, ints } from '../onnx/attributes.ts';
import { FunctionBody } from '../onnx/function-body.ts';
import { altupDomain } from './domain.ts';

/**
 * Expand: x → X [K, …, d]. `split` cuts x [..., K·d] into K blocks (plain AltUp), `replicate` makes K copies
 * of x [..., d] (Recycled-AltUp).
 */
export function expandFunction() {
  const body = new FunctionBody({
    domain: altupDomain,
    name: 'Expand',
    inputs: ['x'],
    outputs: ['blocks'],
    attributes: ['mode', 'num_blocks'],
    doc: 'x [..., w] to K blocks [K, ..., d]: mode "split" cuts w = K*d, mode "replicate" copies w = d.',
  });
  const one = body.integers('one', [1]);
  const count = body.add('Reshape', 'count', [body.integerAttribute('num_blocks'), one]);
  // Both modes are one broadcast: `given` blocks, K or 1 of them, become K.
  const isReplicate = body.add('Equal', 'is_replicate', [
    body.textAttribute('mode'),
    body.text('replicate', 'replicate'),
  ]);
  const given = body.add('Where', 'given', [isReplicate, one, count]);
  const lead = body.add('Shape', 'lead', ['x'], { attributes: { end: int(-1) } });
  const width = body.add('Shape', 'width', ['x'], { attributes: { start: int(-1) } });
  const d = body.add('Div', 'd', [width, given]);
  const concat = { attributes: { axis: int(0) } };
  const rows = body.add('Concat', 'rows_shape', [body.integers('all', [-1]), given, d], concat);
  const cut = body.add('Reshape', 'rows', ['x', rows]);
  const wide = body.add('Concat', 'wide_shape', [one, count, one], concat);
  const broadcast = body.add('Expand', 'wide', [cut, wide]);
  const blocksFirst = body.add('Transpose', 'blocks_first', [broadcast], {
    attributes: { perm: ints([1, 0, 2]) },
  });
  const shape = body.add('Concat', 'blocks_shape', [count, lead, d], concat);
  body.add('Reshape', 'blocks', [blocksFirst, shape], { attributes: { allowzero: int(1) } });
  return body.toProto();
}
