import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

interface Ended<Line> {
  /** The lines of JSON that it printed. */
  lines: Line[];
  log: string;
  /** null: it ended by itself, without an error. */
  fault: string | null;
}

/** Runs a script of this folder in a process whose CUDA is the stand-in. */
export async function runOnStandIn<Line>(
  libraries: string,
  capability: number,
  [script, ...args]: readonly [string, ...string[]],
): Promise<Ended<Line>> {
  const folder = await mkdtemp(join(tmpdir(), 'altup-stand-in-'));
  const env = {
    ...process.env,
    LD_LIBRARY_PATH: libraries,
    STAND_IN_LIBRARIES: libraries,
    STAND_IN_LEDGER: join(folder, 'ledger'),
    STAND_IN_CAPABILITY: String(capability),
  };
  try {
    const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], { env });
    const ended = new Promise<string | null>((resolve) => {
      child.on('close', (code, signal) => resolve(code === 0 ? null : (signal ?? `exit code ${code}`)));
    });
    const [output, log, fault] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
    const lines = output.split('\n').filter((line) => line !== '');
    return { lines: lines.map((line) => JSON.parse(line)), log, fault };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The folder of the stand-in and of what runs on it; the first call fetches and builds it. */
export const getLibraries = () =>
  execFileSync(join(import.meta.dirname, 'get-libraries.sh'), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  }).trim();
