import { expect, it } from 'vitest';
import { operators } from '../../src/export/altup/functions.ts';
import { type FloatType, rounding } from '../support/float-storage.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { type AltUpShape, altupOperators, type OperatorCase } from './altup-operators.ts';
import { describeNative } from './native-addon.ts';
import { runOperators } from './run-operators.ts';

const types: FloatType[] = ['float32', 'float16', 'bfloat16'];

/** The maximum difference, minus one rounding of the result to its type. */
function excess(expected: Float32Array, actual: Float32Array, storage: FloatType): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return expected.reduce((most, value, n) => {
    const own = Math.abs(value - actual[n]!) - 1.01 * rounding[storage] * Math.abs(value);
    return Math.max(most, Number.isNaN(own) ? Number.POSITIVE_INFINITY : own);
  }, 0);
}

const shapes: AltUpShape[] = [
  { blocks: 1, tokens: [1, 1], d: 16 },
  { blocks: 2, tokens: [1, 1], d: 768 },
  { blocks: 4, tokens: [1, 7], d: 100 },
  // Above the thresholds at which several threads share the work.
  { blocks: 4, tokens: [1, 70], d: 640 },
  { blocks: 2, tokens: [3, 0], d: 8 },
];

it('there is a case for every operator but those with tests of their own', () => {
  const cases = new Set(altupOperators(shapes[0]!, 0, 0).map(({ op }) => op));
  // attention-ops.test.ts, quantized-ops.test.ts and quantized-gather.test.ts test these.
  const others = /Attention$|^Quantized/;
  const names = operators.map(({ name }) => name).filter((name) => !others.test(name));
  expect([...cases].sort()).toEqual(names.sort());
});

describeNative('kernels of ai.altup and their function bodies agree', (native) => {
  /** Compares kernels with function bodies, which compute in float32 on the same, rounded inputs. */
  async function expectAgreement(operators: OperatorCase[], storage: FloatType): Promise<void> {
    const bodies = await runOperators(native, operators, { kernels: false, storage, isWide: true });
    for (const isFolded of [false, true]) {
      const kernels = await runOperators(native, operators, { kernels: true, storage, isFolded });
      for (const [node, { op, set }] of operators.entries()) {
        for (const [output, expected] of bodies[node]!.entries()) {
          const what = `${op} of set ${set}, output ${output}, ${storage}, folded ${isFolded}`;
          expect(excess(expected, kernels[node]![output]!, storage), what).toBeLessThan(5e-6);
        }
      }
    }
  }

  for (const set of ['paper', 'gemma'] as const) {
    const ofSet = (shape: AltUpShape, active: number, next: number) =>
      altupOperators(shape, active, next).filter((operator) => operator.set === set);

    it.each(shapes)(`set ${set}, K=$blocks, tokens $tokens, d=$d: every operator and type`, async (shape) => {
      for (const storage of types) await expectAgreement(ofSet(shape, shape.blocks - 1, 0), storage);
    });

    it(`set ${set}: random shapes, active and next blocks`, async () => {
      const random = seededRandom(11);
      for (let round = 0; round < 15; round += 1) {
        const blocks = 1 + random.below(6);
        const tokens = Array.from({ length: 1 + random.below(3) }, () => random.below(5));
        const shape = { blocks, tokens, d: 1 + random.below(70) };
        const operators = ofSet(shape, random.below(blocks), random.below(blocks));
        await expectAgreement(operators, types[random.below(3)]!);
      }
    });
  }
});
