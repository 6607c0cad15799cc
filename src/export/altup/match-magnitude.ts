import { int } from '../onnx/attributes.ts';
import type { FunctionBody } from '../onnx/function-body.ts';
import { elementTypes } from '../onnx/values.ts';

/** Lower bound of the mean square in the divisor (Gemma3nTextModel in Hugging Face Transformers). */
const leastMeanSquare = 1e-5;

/**
 * X [K, …, d] → float32 [K, …, d]. Scales each token in blocks 1 to K−1 to its root mean square in block 0:
 * xⁱ·√(mean((x⁰)²) / max(mean((xⁱ)²), 1e-5)).
 */
export function matchMagnitude(body: FunctionBody, output: string, blocks: string): void {
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
