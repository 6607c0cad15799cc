import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { exportCommand } from '../../src/cli/export-command.ts';
import { captureOutput } from '../support/capture-output.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';
import { goldenFolder } from '../support/golden.ts';
import { HubServer } from '../support/hub-server.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

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

  it('downloads a model of a hub, and exports it in its cache', async () => {
    const files = Object.fromEntries(
      ['config.json', 'model.safetensors'].map((file) => [
        file,
        readFileSync(join(goldenFolder('dense'), file)),
      ]),
    );
    const empty = Buffer.from('{}');
    const hub = await HubServer.start({
      'someone/tiny': { files: { ...files, 'tokenizer.json': empty, 'tokenizer_config.json': empty } },
    });
    const cache = await temporaryFolder();
    vi.stubEnv('HF_ENDPOINT', hub.url);
    vi.stubEnv('HF_HUB_CACHE', cache);
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const folder = join(cache, 'models--someone--tiny/snapshots', HubServer.commit, 'onnx/fp32');
    expect(await run('someone/tiny')).toMatchObject({ code: 0, stdout: `${folder}: written\n` });
    expect(await run('someone/tiny@v1')).toMatchObject({ code: 0, stdout: `${folder}: up to date\n` });
    expect(await run('someone/other')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^altup export: someone\/other: is not a folder here, and the hub has no such/,
      ),
    });
  });

  it.each([
    [[], /expected one checkpoint folder, got 0/],
    [['a', 'b'], /expected one checkpoint folder, got 2/],
    [['a', '--precision', 'fp8'], /--precision is "fp8"; expected fp32, fp16, bf16, int8, int4/],
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
