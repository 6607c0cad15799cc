import { parseArgs } from 'node:util';
import { type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import { ensureExport } from '../export/export-checkpoint.ts';
import { progressDisplay } from '../export/progress.ts';

const usage = `Usage: altup export <checkpoint> [--precision ${precisions.join('|')}] [--out DIR]

Writes the checkpoint (config.json, model.safetensors) as ONNX graphs with ai.altup operators. An export that is there
already and still fits is left as it is.

  --precision P  what the weights become (default: fp32)
  --out DIR      where to write (default: <checkpoint>/onnx/<precision>)
  --help         print this
`;

/** @returns the exit code: 0 done, 1 the checkpoint cannot be exported, 2 wrong usage */
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
  const display = progressDisplay(process.stderr, parsed.checkpoint);
  try {
    const { folder, isNew } = await ensureExport(parsed.checkpoint, parsed.precision, {
      ...(parsed.out === undefined ? {} : { out: parsed.out }),
      onProgress: display.update,
    });
    display.stop();
    process.stdout.write(`${folder}: ${isNew ? 'written' : 'up to date'}\n`);
    return 0;
  } catch (error) {
    display.stop();
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`altup export: ${error.message}\n`);
    return 1;
  }
}

interface Arguments {
  isHelp: boolean;
  checkpoint: string;
  precision: Precision;
  out: string | undefined;
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
        help: { type: 'boolean', default: false },
      },
    });
    const precision = precisions.find((known) => known === values.precision);
    if (!precision) return `--precision is "${values.precision}"; expected ${precisions.join(', ')}`;
    if (!values.help && positionals.length !== 1)
      return `expected one checkpoint folder, got ${positionals.length}`;
    return { isHelp: values.help, checkpoint: positionals[0] ?? '', precision, out: values.out };
  } catch (error) {
    return (error as Error).message;
  }
}
