import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { noDefaults, readGenerationDefaults } from '../../src/catalog/generation-defaults.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

async function read(config: object | null) {
  const folder = await temporaryFolder();
  if (config) writeFileSync(join(folder, 'generation_config.json'), JSON.stringify(config));
  return readGenerationDefaults(folder);
}

describe('generation_config.json', () => {
  it('gives what its authors want', async () => {
    const config = {
      temperature: 0.6,
      top_k: 64,
      top_p: 0.95,
      min_p: 0.05,
      repetition_penalty: 1.1,
      max_new_tokens: 20,
      do_sample: true,
    };
    expect(await read(config)).toEqual({
      temperature: 0.6,
      topK: 64,
      topP: 0.95,
      minP: 0.05,
      repetitionPenalty: 1.1,
      maxNewTokens: 20,
    });
  });

  it('may be silent or missing', async () => {
    expect(await read({ eos_token_id: [1, 106], top_k: null })).toEqual(noDefaults);
    expect(await read(null)).toEqual(noDefaults);
  });

  it.each([
    [{ temperature: -1 }, 'temperature is -1; expected a number from 0 to 2'],
    [{ top_p: '0.9' }, 'top_p is "0.9"; expected a number from 0 to 1'],
    [{ top_k: 1.5 }, 'top_k is 1.5; expected an integer from 0 to'],
    [{ max_new_tokens: 2 ** 32 }, 'max_new_tokens is 4294967296; expected an integer from 1 to 16777216'],
    [{ top_k: 1e12 }, 'top_k is 1000000000000; expected an integer from 0 to'],
    [{ repetition_penalty: 1e9 }, 'repetition_penalty is 1000000000; expected a number from'],
    [{ max_new_tokens: 0 }, 'max_new_tokens is 0; expected an integer from 1 to'],
  ])('is refused by name: %j', async (config, message) => {
    await expect(read(config)).rejects.toThrow(message);
  });
});
