import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SafetensorsFile } from '../../../src/export/checkpoint/safetensors-file.ts';
import { float32, rawSafetensors, safetensors } from '../../support/safetensors-writer.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

async function openBytes(bytes: Uint8Array): Promise<SafetensorsFile> {
  const path = join(await temporaryFolder(), 'model.safetensors');
  await writeFile(path, bytes);
  return await SafetensorsFile.open(path);
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

const withHeader = (header: object, dataBytes: number) =>
  rawSafetensors(JSON.stringify(header), new Uint8Array(dataBytes));

describe('SafetensorsFile', () => {
  it('reads back every dtype, byte for byte', async () => {
    const sizes = {
      BOOL: 1,
      U8: 1,
      I8: 1,
      F8_E5M2: 1,
      F8_E4M3: 1,
      U16: 2,
      I16: 2,
      F16: 2,
      BF16: 2,
      U32: 4,
      I32: 4,
      F32: 4,
      U64: 8,
      I64: 8,
      F64: 8,
    };
    const written = Object.fromEntries(
      Object.entries(sizes).map(([dtype, size], n) => {
        const bytes = Uint8Array.from({ length: 6 * size }, (_, at) => (at * 37 + n) & 0xff);
        return [`tensor ${dtype} ✓`, { dtype, shape: [2, 3], bytes }];
      }),
    );
    const file = await openBytes(safetensors(written));
    expect([...file.tensors.keys()]).toEqual(Object.keys(written));
    for (const [name, { dtype, shape, bytes }] of Object.entries(written)) {
      expect(file.tensors.get(name)).toMatchObject({ dtype, shape });
      expect(await file.read(name)).toEqual(bytes);
      expect(await file.read(name, 1, 3)).toEqual(bytes.slice(1, 4));
    }
    await file.close();
  });

  it('reads scalars, empty tensors and a file without tensors', async () => {
    const file = await openBytes(safetensors({ scalar: float32([], [7]), empty: float32([0, 4], []) }));
    expect(new Float32Array((await file.read('scalar')).buffer)).toEqual(Float32Array.of(7));
    expect(await file.read('empty')).toHaveLength(0);
    await file.close();
    const none = await openBytes(withHeader({}, 0));
    expect(none.tensors.size).toBe(0);
    await none.close();
  });

  it('does not read beyond a tensor', async () => {
    const file = await openBytes(safetensors({ a: float32([2], [1, 2]), b: float32([1], [3]) }));
    await expect(file.read('a', 4, 5)).rejects.toThrow(/bytes 4 to 9 are not all in a, which has 8/);
    await expect(file.read('b', -4, 4)).rejects.toThrow(RangeError);
    await expect(file.read('c')).rejects.toThrow(/no tensor is called c/);
    await file.close();
  });

  it('finds data that the header places in another order', async () => {
    const data = new Uint8Array(Float32Array.of(1, 2).buffer);
    const file = await openBytes(rawSafetensors(JSON.stringify({ b: entry(4, 8), a: entry(0, 4) }), data));
    expect(new Float32Array((await file.read('b')).buffer)).toEqual(Float32Array.of(2));
    await file.close();
  });

  const intact = safetensors({ a: float32([2], [1, 2]) });
  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /0 bytes are too few/],
    [
      'a file cut inside its header',
      intact.subarray(0, 30),
      /header should end at byte \d+, but the file has 30/,
    ],
    ['a file cut inside its data', intact.subarray(0, -1), /tensor a ends at byte 8, but the file holds 7/],
    [
      'bytes after the data',
      Buffer.concat([intact, Buffer.of(0)]),
      /bytes 8 to 9 of the data belong to no tensor/,
    ],
    [
      'a header over 100 MB',
      rawSafetensors('{}', new Uint8Array(0), 100_000_001n),
      /over the limit of 100000000/,
    ],
    ['a header length of 2⁶⁴ − 1', rawSafetensors('{}', new Uint8Array(0), 2n ** 64n - 1n), /over the limit/],
    ['a header length that eats data', rawSafetensors('{}', new Uint8Array(4), 4n), /not JSON/],
    ['a header that is not JSON', rawSafetensors('{"a":', new Uint8Array(0)), /not JSON/],
    [
      'a header that is not UTF-8',
      rawSafetensors(Buffer.from([0x7b, 0xff, 0x7d]), new Uint8Array(0)),
      /not JSON in UTF-8/,
    ],
    ['a header that is a list', rawSafetensors('[]', new Uint8Array(0)), /not a JSON object/],
    ['an entry that is a number', withHeader({ a: 1 }, 0), /tensor a: its entry is not a JSON object/],
    [
      'an unknown dtype',
      withHeader({ a: entry(0, 4, [1], 'F31') }, 4),
      /tensor a: dtype "F31" is not one of BOOL/,
    ],
    ['a dtype of another kind', withHeader({ a: { ...entry(0, 4), dtype: null } }, 4), /dtype null/],
    ['a dtype that every object has', withHeader({ a: entry(0, 4, [1], 'toString') }, 4), /dtype "toString"/],
    ['a negative size', withHeader({ a: entry(0, 4, [-1]) }, 4), /shape \[-1\] is not a list of sizes/],
    ['a fractional size', withHeader({ a: entry(0, 4, [1.5]) }, 4), /shape \[1\.5\]/],
    ['no shape', withHeader({ a: { dtype: 'F32', data_offsets: [0, 4] } }, 4), /shape undefined/],
    [
      'a shape that needs other bytes',
      withHeader({ a: entry(0, 4, [2]) }, 4),
      /hold 4 bytes, F32 \[2\] needs 8/,
    ],
    ['a shape whose size overflows', withHeader({ a: entry(0, 4, [2 ** 40, 2 ** 40]) }, 4), /needs/],
    [
      'one offset',
      withHeader({ a: { ...entry(0, 4), data_offsets: [4] } }, 4),
      /\[4\] is not \[begin, end\]/,
    ],
    ['offsets that run backwards', withHeader({ a: entry(4, 0, [1]) }, 4), /hold -4 bytes/],
    [
      'overlapping tensors',
      withHeader({ a: entry(0, 8), b: entry(4, 12) }, 12),
      /tensor b begins at byte 4, inside/,
    ],
    [
      'two tensors on the same bytes',
      withHeader({ a: entry(0, 4), b: entry(0, 4) }, 4),
      /begins at byte 0, inside/,
    ],
    [
      'a hole',
      withHeader({ a: entry(0, 4), b: entry(8, 12) }, 12),
      /bytes 4 to 8 of the data belong to no tensor/,
    ],
    [
      'data beyond the file',
      withHeader({ a: entry(0, 4), b: entry(4, 8) }, 4),
      /tensor b ends at byte 8, but/,
    ],
    [
      'a name twice',
      rawSafetensors(
        `{"a":${JSON.stringify(entry(0, 4))},"\\u0061":${JSON.stringify(entry(0, 4))}}`,
        new Uint8Array(4),
      ),
      /has "a" twice/,
    ],
    [
      'a field twice',
      rawSafetensors(
        '{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}',
        new Uint8Array(4),
      ),
      /has "dtype" twice/,
    ],
  ])('refuses %s', async (_what, bytes, message) => {
    const error = await openBytes(bytes).then(
      () => null,
      (reason: Error) => reason,
    );
    expect(error?.name).toBe('ConfigurationError');
    expect(error?.message).toMatch(message);
    expect(error?.message).toContain('model.safetensors');
  });

  it('is not misled by braces, quotes and colons inside names', async () => {
    const file = await openBytes(
      safetensors({ '{"a":1': float32([1], [1]), 'a"}': float32([1], [2]), dtype: float32([1], [3]) }),
    );
    expect(file.tensors.size).toBe(3);
    await file.close();
  });
});
