import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSpecialTokens } from '../../src/catalog/tokenizer/special-tokens.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function folderWith(config: object, generation?: object): Promise<string> {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  if (generation) await writeFile(join(folder, 'generation_config.json'), JSON.stringify(generation));
  return folder;
}

describe('readSpecialTokens', () => {
  it('reads config.json', async () => {
    const folder = await folderWith({
      eos_token_id: 1,
      bos_token_id: 2,
      pad_token_id: 0,
      decoder_start_token_id: 3,
    });
    expect(await readSpecialTokens(folder)).toEqual({ eos: [1], bos: 2, pad: 0, decoderStart: 3 });
  });

  it('lets generation_config.json go first, field by field', async () => {
    const folder = await folderWith(
      { eos_token_id: 1, pad_token_id: 0 },
      { eos_token_id: [1, 106], bos_token_id: 2 },
    );
    expect(await readSpecialTokens(folder)).toEqual({ eos: [1, 106], bos: 2, pad: 0, decoderStart: null });
  });

  it("has the family's tokens where the files say nothing, or null", async () => {
    const folder = await folderWith({ pad_token_id: 7, eos_token_id: null });
    expect(await readSpecialTokens(folder, { eos: [1], pad: 0, decoderStart: 0 })).toEqual({
      eos: [1],
      bos: null,
      pad: 7,
      decoderStart: 0,
    });
    expect(await readSpecialTokens(folder)).toEqual({ eos: [], bos: null, pad: 7, decoderStart: null });
  });

  it.each([
    [{ eos_token_id: '1' }, /config\.json: eos_token_id is "1"; expected an integer from 0 to/],
    [{ eos_token_id: [1, -2] }, /eos_token_id is \[1,-2\]; expected at most 1024 integers from 0 to/],
    [{ eos_token_id: Array(2000).fill(1) }, /eos_token_id is \[1(,1)*…; expected at most 1024/],
    [{ bos_token_id: 2 ** 40 }, /bos_token_id is 1099511627776; expected an integer from 0 to/],
    [{ pad_token_id: 1.5 }, /pad_token_id is 1\.5; expected an integer from 0 to/],
  ])('refuses %j', async (config, message) => {
    await expect(readSpecialTokens(await folderWith(config))).rejects.toThrow(message);
  });
});
