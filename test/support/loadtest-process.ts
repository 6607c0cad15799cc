import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from './temporary-folder.ts';

const root = join(import.meta.dirname, '../..');

/** One stage of the JSON report, with the fields that tests read. */
interface StageJson extends Record<string, unknown> {
  label: string;
  is_baseline: boolean;
  num_prompts: number;
  completed: number;
  failed: number;
  failures: Record<string, number>;
  total_output_tokens: number;
  p50_ttft_ms: number;
  p99_ttft_ms: number;
  p99_e2el_ms: number;
  is_valid: boolean;
}

interface LoadtestRun {
  code: number;
  stdout: string;
  stderr: string;
  report: {
    results: StageJson[];
    counts_agree: boolean | null;
    counts: { model: string; what: string; client: number; server: number | null; reason: string | null }[];
  };
  page: string;
}

/** Runs `altup loadtest` as users do, with both report files. Call it inside a test. */
export async function runLoadtestProcess(args: readonly string[], env = {}): Promise<LoadtestRun> {
  const folder = await temporaryFolder();
  const files = { json: join(folder, 'report.json'), html: join(folder, 'report.html') };
  const command = [
    join(root, 'src/cli.ts'),
    'loadtest',
    ...args,
    '--json',
    files.json,
    '--html',
    files.html,
    // Other tests on the same machine may make the client late.
    '--max-lag',
    '5000',
  ];
  const { PATH, HOME } = process.env;
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      command,
      { cwd: root, env: { PATH, HOME, ...env } },
      async (error, stdout, stderr) => {
        try {
          const report = JSON.parse(await readFile(files.json, 'utf8'));
          const page = await readFile(files.html, 'utf8');
          resolve({ code: Number(error?.code ?? 0), stdout, stderr, report, page });
        } catch (cause) {
          reject(new Error(`altup loadtest wrote no report:\n${stdout}\n${stderr}`, { cause }));
        }
      },
    );
  });
}
