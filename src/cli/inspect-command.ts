import { parseArgs } from 'node:util';
import { type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import { formatInspection } from '../export/inspect/format-inspection.ts';
import { inspectModel } from '../export/inspect/inspect-model.ts';

const usage = `Usage: altup inspect <model> [--precision ${precisions.join('|')}] [--json]

Describes a checkpoint folder or an export folder: family, AltUp, parameters, cache, operators, files.

  --precision P  which export of a checkpoint (default: fp32)
  --json         print one JSON object
  --help         print this
`;

/** @returns the exit code: 0 done, 1 not a model that can be described, 2 wrong usage */
export async function inspectCommand(args: string[]): Promise<number> {
  const parsed = parse(args);
  if (typeof parsed === 'string') {
    process.stderr.write(`altup inspect: ${parsed}\n\n${usage}`);
    return 2;
  }
  if (parsed.isHelp) {
    process.stdout.write(usage);
    return 0;
  }
  try {
    const model = await inspectModel(parsed.model, parsed.precision);
    process.stdout.write(parsed.isJson ? `${JSON.stringify(model, null, 2)}\n` : formatInspection(model));
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`altup inspect: ${error.message}\n`);
    return 1;
  }
}

interface Arguments {
  isHelp: boolean;
  isJson: boolean;
  model: string;
  precision: Precision;
}

/** The arguments, or what is wrong with them. */
function parse(args: string[]): Arguments | string {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        precision: { type: 'string', default: 'fp32' },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const precision = precisions.find((known) => known === values.precision);
    if (!precision) return `--precision is "${values.precision}"; expected ${precisions.join(', ')}`;
    if (!values.help && positionals.length !== 1)
      return `expected one model folder, got ${positionals.length}`;
    return { isHelp: values.help, isJson: values.json, model: positionals[0] ?? '', precision };
  } catch (error) {
    return (error as Error).message;
  }
}
