import { int } from '../onnx/attributes.ts';
import { FunctionBody } from '../onnx/function-body.ts';
import { altupDomain } from './domain.ts';

/** Select: X [K, …, d] → block `active` [..., d]. */
export function selectFunction() {
  const body = new FunctionBody({
    domain: altupDomain,
    name: 'Select',
    inputs: ['blocks'],
    outputs: ['block'],
    attributes: ['active'],
    doc: 'Block number "active" of X [K, ..., d].',
  });
  body.add('Gather', 'block', ['blocks', body.integerAttribute('active')], { attributes: { axis: int(0) } });
  return body.toProto();
}
