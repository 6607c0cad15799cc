import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };

const script = join(import.meta.dirname, '../../src/cli.ts');

function altup(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { PATH, HOME } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { env: { PATH, HOME } }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}

const commands = ['chat', 'complete', 'serve', 'export', 'inspect', 'loadtest'];

describe('altup', () => {
  it.each(['--version', '-v'])('%s prints the version', async (flag) => {
    expect(await altup(flag)).toEqual({ code: 0, stdout: `altup ${packageJson.version}\n`, stderr: '' });
  });

  it.each([[[]], [['-h']], [['--help']], [['help']]])('%j lists the commands', async (args) => {
    const { code, stdout } = await altup(...args);
    expect(code).toBe(0);
    expect(commands.filter((name) => !stdout.includes(`  ${name} `))).toEqual([]);
  });

  it.each(commands)('%s has help, however it is asked for', async (name) => {
    const asked = await Promise.all([altup(name, '--help'), altup(name, '-h'), altup('help', name)]);
    for (const { code, stdout } of asked) {
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: altup ${name}`);
      expect(stdout).toBe(asked[0].stdout);
    }
  });

  it.each([
    ['serv'],
    ['constructor'],
    ['serve', '--prot', '1'],
    ['serve', '--port', 'x'],
    ['serve', 'models'],
    ['export'],
    ['export', '--zebra'],
    ['inspect', 'a', 'b'],
    ['loadtest', '--rate', '0'],
    ['loadtest', '--zebra'],
    ['chat', 'a', 'b'],
    ['chat', '--seed', 'x'],
    ['complete', '--url', 'localhost'],
  ])('%s %s %s is wrong usage', async (...args) => {
    const { code, stdout, stderr } = await altup(...args);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^altup(:| \w+:) ./);
  });

  it.each([
    ['export', '/nowhere'],
    ['inspect', '/nowhere'],
    ['serve', '--models', '/nowhere'],
  ])('%s %s fails with 1, because the usage is right', async (...args) => {
    expect((await altup(...args)).code).toBe(1);
  });
});
