import { readCheckpointFile } from '../../catalog/checkpoint-file.ts';
import { ConfigurationError } from '../../errors.ts';

/** Several times the index size of the largest models. */
const maxBytes = 2 ** 26;

/** Reads from `model.safetensors.index.json` which shard holds each tensor: tensor name → file name. */
export async function readShardIndex(path: string): Promise<Map<string, string>> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readCheckpointFile(path, maxBytes));
  } catch (cause) {
    if (cause instanceof ConfigurationError) throw cause;
    throw new ConfigurationError(`${path}: is not valid JSON`, { cause });
  }
  const weightMap = (parsed as { weight_map?: unknown } | null)?.weight_map;
  if (typeof weightMap !== 'object' || weightMap === null || Array.isArray(weightMap)) {
    throw new ConfigurationError(
      `${path}: weight_map is missing; expected an object of tensor names and file names`,
    );
  }
  const shards = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (!isPlainFileName(file)) {
      throw new ConfigurationError(
        `${path}: weight_map.${name} is ${JSON.stringify(file)}; expected a .safetensors file name without a folder`,
      );
    }
    shards.set(name, file);
  }
  return shards;
}

/** A downloaded index must not make us read files outside its own folder. */
function isPlainFileName(file: unknown): file is string {
  return typeof file === 'string' && /^[^/\\\0]+\.safetensors$/.test(file) && !file.startsWith('.');
}
