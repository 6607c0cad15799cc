import { basename, dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import { mergeAdapter } from '../export/adapter/merge-adapter.ts';
import { ensureExport } from '../export/export-checkpoint.ts';
import { type ProgressDisplay, progressDisplay } from '../export/progress.ts';
import { downloadModel } from '../hub/download-model.ts';
import { nameOfFolder, readHubName } from '../hub/hub-name.ts';

const usage = `Usage: altup export <checkpoint> [--precision ${precisions.join('|')}] [--out DIR] [--adapter DIR]

Writes the checkpoint (config.json, model.safetensors) as ONNX graphs with ai.altup operators. An export that is there
already and still fits is left as it is. The checkpoint is a folder, or a model of the Hugging Face hub, such as
google/gemma-3n-E2B-it or google/gemma-3n-E2B-it@<revision>, which is downloaded into the hub's cache first.

  --precision P  what the weights become (default: fp32)
  --out DIR      where to write (default: <checkpoint>/onnx/<precision>)
  --adapter DIR  merges a LoRA adapter of peft into the checkpoint first: a checkpoint of its own, to be served beside it,
                 written to --out (default: <checkpoint's name>-<adapter's name> beside the adapter) and exported there
  --help         print this
`;

/** Signals that end an export, with the exit code of a shell: 128 and the signal's number. */
const stopSignals = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** @returns the exit code: 0 done, 1 the checkpoint cannot be exported, 2 wrong usage, 128 + n stopped by signal n */
export async function exportCommand(args: string[]): Promise<number> {
  const parsed = parse(args);
  if (typeof parsed === 'string') {
    process.stderr.write(`altup export: ${parsed}\n\n${usage}`);
    return 2;
  }
  if (parsed.isHelp) {
    process.stdout.write(usage);
    return 0;
  }
  let display: ProgressDisplay | null = null;
  const stop = new AbortController();
  let stoppedBy: keyof typeof stopSignals | null = null;
  const onSignal = (signal: NodeJS.Signals) => {
    stoppedBy = signal as keyof typeof stopSignals;
    stop.abort();
  };
  for (const signal of Object.keys(stopSignals)) process.once(signal, onSignal);
  try {
    const hubName = readHubName(parsed.checkpoint);
    if (hubName) display = progressDisplay(process.stderr, `downloading ${hubName.repo}`);
    const { signal } = stop;
    const checkpoint = hubName
      ? await downloadModel(hubName, { onProgress: display!.update, signal })
      : parsed.checkpoint;
    display?.stop();
    let exported = checkpoint;
    if (parsed.adapter !== undefined) {
      exported = parsed.out ?? mergedFolder(checkpoint, parsed.adapter);
      display = progressDisplay(process.stderr, `merging ${basename(parsed.adapter)}`);
      await mergeAdapter(checkpoint, parsed.adapter, exported, { onProgress: display.update, signal });
      display.stop();
    }
    display = progressDisplay(process.stderr, `exporting ${nameOfFolder(exported)}`);
    const { folder, isNew } = await ensureExport(exported, parsed.precision, {
      ...(parsed.out === undefined || parsed.adapter !== undefined ? {} : { out: parsed.out }),
      onProgress: display.update,
      signal,
    });
    display.stop();
    process.stdout.write(`${folder}: ${isNew ? 'written' : 'up to date'}\n`);
    return 0;
  } catch (error) {
    display?.stop();
    if (stoppedBy !== null) {
      process.stderr.write(`altup export: stopped by ${stoppedBy}; run it again to go on\n`);
      return stopSignals[stoppedBy];
    }
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`altup export: ${error.message}\n`);
    return 1;
  } finally {
    for (const signal of Object.keys(stopSignals)) process.off(signal, onSignal);
  }
}

interface Arguments {
  isHelp: boolean;
  checkpoint: string;
  precision: Precision;
  out: string | undefined;
  /** Folder. */
  adapter: string | undefined;
}

function mergedFolder(checkpoint: string, adapter: string): string {
  const folder = resolve(adapter);
  return join(dirname(folder), `${nameOfFolder(checkpoint)}-${basename(folder)}`);
}

/** The arguments, or what is wrong with them. */
function parse(args: string[]): Arguments | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        precision: { type: 'string', default: 'fp32' },
        out: { type: 'string' },
        adapter: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    });
    const precision = precisions.find((known) => known === values.precision);
    if (!precision) return `--precision is "${values.precision}"; expected ${precisions.join(', ')}`;
    if (!values.help && positionals.length !== 1)
      return `expected one checkpoint folder, got ${positionals.length}`;
    return {
      isHelp: values.help,
      checkpoint: positionals[0] ?? '',
      precision,
      out: values.out,
      adapter: values.adapter,
    };
  } catch (error) {
    return (error as Error).message;
  }
}
