import { precisions } from '../catalog/manifest.ts';
import { formatInspection } from '../export/inspect/format-inspection.ts';
import { inspectModel, verifyExport } from '../export/inspect/inspect-model.ts';
import { readModelArguments, runCommand } from './command.ts';

const usage = `Usage: altup inspect <model> [--precision ${precisions.join('|')}] [--verify] [--json]

Describes a checkpoint folder or an export folder: family, AltUp, parameters, cache, operators, files.

  --precision P  which export of a checkpoint (default: fp32)
  --verify       compare every byte of the export with what the exporter wrote, and exit with 1 if any differs
  --json         print one JSON object
  --help         print this
`;

/** @returns the exit code: 0 done, 1 no model that can be described or `--verify` found damage, 2 wrong usage */
export const inspectCommand = (args: string[]) => runCommand({ name: 'inspect', usage, read, run }, args);

type Arguments = NonNullable<ReturnType<typeof read>>;

const read = (args: string[]) =>
  readModelArguments(args, 'model', {
    json: { type: 'boolean', default: false },
    verify: { type: 'boolean', default: false },
  });

async function run(parsed: Arguments): Promise<number> {
  if (parsed.verify) return await verify(parsed);
  const model = await inspectModel(parsed.model, parsed.precision);
  process.stdout.write(parsed.json ? `${JSON.stringify(model, null, 2)}\n` : formatInspection(model));
  return 0;
}

async function verify({ model, precision, json }: Arguments): Promise<number> {
  const damage = await verifyExport(model, precision);
  if (json) process.stdout.write(`${JSON.stringify({ damage }, null, 2)}\n`);
  else if (damage.length === 0) process.stdout.write('the export is unchanged\n');
  else process.stdout.write(`${damage.join('\n')}\nexport the checkpoint again to repair it\n`);
  return damage.length === 0 ? 0 : 1;
}
