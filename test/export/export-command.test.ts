import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exportCommand } from '../../src/cli/export-command.ts';
import { captureOutput } from '../support/capture-output.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';

const run = (...args: string[]) => captureOutput(() => exportCommand(args));

describe('altup export', () => {
  it('says where the export is, and that it is up to date the second time', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const folder = join(checkpoint, 'onnx', 'fp32');
    expect(await run(checkpoint)).toMatchObject({ code: 0, stdout: `${folder}: written\n` });
    expect(await run(checkpoint)).toEqual({ code: 0, stdout: `${folder}: up to date\n`, stderr: '' });
  });

  it('writes where --out says', async () => {
    const checkpoint = await copyCheckpoint('dense');
    const out = join(checkpoint, 'here');
    expect(await run(checkpoint, '--out', out, '--precision', 'fp32')).toMatchObject({
      code: 0,
      stdout: `${out}: written\n`,
    });
  });

  it('says what is wrong with a checkpoint', async () => {
    const checkpoint = await copyCheckpoint('dense', { is_encoder_decoder: false });
    expect(await run(checkpoint)).toEqual({
      code: 1,
      stdout: '',
      stderr: `altup export: ${checkpoint}/config.json: is_encoder_decoder is false; expected true: an encoder alone generates nothing\n`,
    });
  });

  it.each([
    [[], /expected one checkpoint folder, got 0/],
    [['a', 'b'], /expected one checkpoint folder, got 2/],
    [['a', '--precision', 'fp8'], /--precision is "fp8"; expected fp32, fp16, int8, int4/],
    [['a', '--fast'], /Unknown option '--fast'/],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(message);
    expect(stderr).toContain('Usage: altup export');
  });

  it('prints its usage', async () => {
    const { code, stdout } = await run('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: altup export <checkpoint>');
  });
});
