import { basename, dirname, join, resolve } from 'node:path';
import { precisions } from '../catalog/manifest.ts';
import type { DerivedOptions } from '../export/derived/derived-checkpoint.ts';
import { mergeAdapter } from '../export/derived/merge-adapter.ts';
import { sliceCheckpoint } from '../export/derived/slice-checkpoint.ts';
import { ensureExport } from '../export/export-checkpoint.ts';
import { type ProgressDisplay, progressDisplay } from '../export/progress.ts';
import { downloadModel } from '../hub/download-model.ts';
import { nameOfFolder, readHubName } from '../hub/hub-name.ts';
import { readModelArguments, runCommand } from './command.ts';

const usage = `Usage: altup export <checkpoint> [--precision ${precisions.join('|')}] [--out DIR] [--adapter DIR | --slice E2B|FILE]

Writes the checkpoint (config.json, model.safetensors) as ONNX graphs with ai.altup operators. An existing
export that still matches is kept. The checkpoint is a folder, or a model of the Hugging Face hub, such as
google/gemma-3n-E2B-it or google/gemma-3n-E2B-it@<revision>, which is downloaded into the hub's cache first.

  --precision P  number format of the weights (default: fp32)
  --out DIR      where to write (default: <checkpoint>/onnx/<precision>)
  --adapter DIR  merge a LoRA adapter of peft into the checkpoint first; writes a separate checkpoint to --out (default:
                 <checkpoint's name>-<adapter's name>, next to the adapter) and exports it there
  --slice S      slice a smaller model out of a Gemma 3n first: E2B out of E4B, or as a JSON file says:
                 {"skip_layers": [20, 21], "intermediate_size": 8192}, with one width or one for each kept layer; writes
                 it to --out (default: <checkpoint's name>-<slice's name>, next to the checkpoint, or in the current
                 folder for a model of the hub)
  --help         print this
`;

/** Signals that end an export, with the shell's exit code: 128 plus the signal's number. */
const stopSignals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** @returns the exit code: 0 done, 1 the checkpoint cannot be exported, 2 wrong usage, 128 + n stopped by signal n */
export const exportCommand = (args: string[]) => runCommand({ name: 'export', usage, read, run }, args);

type Arguments = NonNullable<ReturnType<typeof read>>;

function read(args: string[]) {
  const parsed = readModelArguments(args, 'checkpoint', {
    out: { type: 'string' },
    adapter: { type: 'string' },
    slice: { type: 'string' },
  });
  if (parsed?.adapter !== undefined && parsed.slice !== undefined)
    throw new Error('--adapter and --slice cannot be combined; give one of them');
  return parsed;
}

async function run(parsed: Arguments): Promise<number> {
  let display: ProgressDisplay | null = null;
  const stop = new AbortController();
  let stoppedBy: keyof typeof stopSignals | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    stoppedBy = signal as keyof typeof stopSignals;
    stop.abort();
  };
  for (const signal of Object.keys(stopSignals)) process.once(signal, onSignal);
  try {
    const hubName = readHubName(parsed.model);
    if (hubName) display = progressDisplay(process.stderr, `downloading ${hubName.repo}`);
    const { signal } = stop;
    const checkpoint = hubName
      ? await downloadModel(hubName, { onProgress: display!.update, signal })
      : parsed.model;
    display?.stop();
    const derived = derivation(parsed, checkpoint);
    if (derived !== null) {
      display = progressDisplay(process.stderr, derived.what);
      await derived.write({ onProgress: display.update, signal });
      display.stop();
    }
    const exported = derived?.out ?? checkpoint;
    display = progressDisplay(process.stderr, `exporting ${nameOfFolder(exported)}`);
    const { folder, isNew } = await ensureExport(exported, parsed.precision, {
      ...(parsed.out === undefined || derived !== null ? {} : { out: parsed.out }),
      onProgress: display.update,
      signal,
    });
    display.stop();
    process.stdout.write(`${folder}: ${isNew ? 'written' : 'up to date'}\n`);
    return 0;
  } catch (error) {
    display?.stop();
    if (stoppedBy !== null) {
      process.stderr.write(`altup export: stopped by ${stoppedBy}; run it again to continue\n`);
      return stopSignals[stoppedBy];
    }
    throw error;
  } finally {
    for (const signal of Object.keys(stopSignals)) process.off(signal, onSignal);
  }
}

interface Derivation {
  what: string;
  out: string;
  write(options: DerivedOptions): Promise<unknown>;
}

/** The checkpoint to derive from the given one; null: export the given one itself. */
function derivation({ adapter, slice, out }: Arguments, checkpoint: string): Derivation | null {
  const name = nameOfFolder(checkpoint);
  if (adapter !== undefined) {
    const folder = resolve(adapter);
    const merged = out ?? join(dirname(folder), `${name}-${basename(folder)}`);
    return {
      what: `merging ${basename(folder)}`,
      out: merged,
      write: (options) => mergeAdapter(checkpoint, folder, merged, options),
    };
  }
  if (slice === undefined) return null;
  // A checkpoint in the hub's cache has no place for it next to itself.
  const beside = name === basename(resolve(checkpoint)) ? dirname(resolve(checkpoint)) : process.cwd();
  const sliced = out ?? join(beside, `${name}-${basename(slice, '.json')}`);
  return {
    what: `slicing ${name}`,
    out: sliced,
    write: (options) => sliceCheckpoint(checkpoint, slice, sliced, options),
  };
}
