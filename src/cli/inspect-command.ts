import { parseArgs } from 'node:util';
import { type Precision, precisions } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import { formatInspection } from '../export/inspect/format-inspection.ts';
import { inspectModel, verifyExport } from '../export/inspect/inspect-model.ts';

const usage = `Usage: altup inspect <model> [--precision ${precisions.join('|')}] [--verify] [--json]

Describes a checkpoint folder or an export folder: family, AltUp, parameters, cache, operators, files.

  --precision P  which export of a checkpoint (default: fp32)
  --verify       compare every byte of the export with what the exporter wrote, and exit with 1 if any differs
  --json         print one JSON object
  --help         print this
`;

/** @returns the exit code: 0 done, 1 no model that can be described or `--verify` found damage, 2 wrong usage */
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
    if (parsed.isVerify) return await verify(parsed);
    const model = await inspectModel(parsed.model, parsed.precision);
    process.stdout.write(parsed.isJson ? `${JSON.stringify(model, null, 2)}\n` : formatInspection(model));
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    process.stderr.write(`altup inspect: ${error.message}\n`);
    return 1;
  }
}

async function verify({ model, precision, isJson }: Arguments): Promise<number> {
  const damage = await verifyExport(model, precision);
  if (isJson) process.stdout.write(`${JSON.stringify({ damage }, null, 2)}\n`);
  else if (damage.length === 0) process.stdout.write('the export is unchanged\n');
  else process.stdout.write(`${damage.join('\n')}\nexport the checkpoint again to repair it\n`);
  return damage.length === 0 ? 0 : 1;
}

interface Arguments {
  isHelp: boolean;
  isVerify: boolean;
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
        verify: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    const precision = precisions.find((known) => known === values.precision);
    if (!precision) return `--precision is "${values.precision}"; expected ${precisions.join(', ')}`;
    if (!values.help && positionals.length !== 1)
      return `expected one model folder, got ${positionals.length}`;
    const { help: isHelp, json: isJson, verify: isVerify } = values;
    return { isHelp, isJson, isVerify, model: positionals[0] ?? '', precision };
  } catch (error) {
    return (error as Error).message;
  }
}
