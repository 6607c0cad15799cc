import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { encodeText } from '../../src/catalog/encode-text.ts';
import { Tokenizer } from '../../src/catalog/tokenizer.ts';
import { TokenizingThread } from '../../src/catalog/tokenizing-thread.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { byteLevelTokenizer } from '../support/tiny-tokenizers.ts';

async function setUp() {
  const checkpoint = await temporaryFolder();
  writeFileSync(join(checkpoint, 'tokenizer.json'), JSON.stringify(byteLevelTokenizer()));
  writeFileSync(join(checkpoint, 'tokenizer_config.json'), '{}');
  const thread = new TokenizingThread();
  onTestFinished(() => thread.close());
  return { checkpoint, thread, tokenizer: Tokenizer.load(checkpoint) };
}

it('long texts are encoded on a thread, to the same tokens', async () => {
  const { checkpoint, thread, tokenizer } = await setUp();
  const own = vi.spyOn(tokenizer, 'encode');
  const encode = encodeText(tokenizer, checkpoint, thread);
  const text = 'the he € '.repeat(2000);
  const [long, bare] = await Promise.all([encode(text, true), encode(text, false)]);
  expect(own).not.toHaveBeenCalled();
  expect(long).toEqual(tokenizer.encode(text));
  expect(bare).toEqual(tokenizer.encode(text, false));
  own.mockClear();
  expect(await encode('the', true)).toEqual(tokenizer.encode('the'));
  expect(own).toHaveBeenCalledTimes(2);
});

it('the event loop turns meanwhile', async () => {
  const { checkpoint, thread } = await setUp();
  await thread.encode(checkpoint, 'warm', true);
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await thread.encode(checkpoint, 'the he € '.repeat(50_000), true);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(5);
});

it('a checkpoint without a tokenizer fails its own text alone', async () => {
  const { checkpoint, thread } = await setUp();
  const lost = thread.encode(join(checkpoint, 'nowhere'), 'a', true);
  const found = thread.encode(checkpoint, 'a', false);
  await expect(lost).rejects.toThrow(/nowhere.*cannot be read/);
  expect(await found).toEqual([3 + 97]);
});

it('a thread that is gone fails what it had, and another takes over', async () => {
  const { checkpoint, thread } = await setUp();
  const lost = thread.encode(checkpoint, 'a', true);
  const expected = expect(lost).rejects.toThrow('the tokenizing thread has ended');
  await thread.close();
  await expected;
  expect(await thread.encode(checkpoint, 'a', false)).toEqual([3 + 97]);
});
