import { expect, it } from 'vitest';
import { hasInt8Cache, type Runtime } from '../../src/runtime/session.ts';

const native: Runtime = { backend: 'native', executionProvider: 'cpu' };
const decoderOnly = { graphs: { decoder: 'decoder.onnx', encoder: null } };
const withEncoder = { graphs: { decoder: 'decoder.onnx', encoder: 'encoder.onnx' } };

it('a cache is int8 if asked for, where a kernel reads it', () => {
  expect(hasInt8Cache(decoderOnly, native, 'int8')).toBe(true);
  expect(hasInt8Cache(decoderOnly, native, 'export')).toBe(false);
  expect(hasInt8Cache(withEncoder, native, 'int8')).toBe(false);
  expect(hasInt8Cache(decoderOnly, { ...native, executionProvider: 'cuda' }, 'int8')).toBe(false);
  expect(hasInt8Cache(decoderOnly, { ...native, backend: 'onnxruntime-node' }, 'int8')).toBe(false);
});
