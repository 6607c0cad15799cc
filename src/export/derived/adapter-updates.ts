import { ConfigurationError } from '../../errors.ts';
import type { SafetensorsFile } from '../checkpoint/safetensors-file.ts';

/** How an adapter changes one tensor of its base. Tensor names are those of the adapter's file. */
export type Update =
  | { kind: 'replaced'; by: string }
  | {
      kind: 'added';
      /** Name of the module, for `alpha_pattern`. */
      module: string;
      /** [rank, in] */
      a: string;
      /** [out, rank] */
      b: string;
      /** The product is the transpose of the table [tokens, width]. */
      isEmbedding: boolean;
      /** [out], DoRA only. */
      magnitude: string | null;
    };

const prefix = 'base_model.model.';
const part =
  /^(?<module>.+)\.(?<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(\.default)?(\.weight)?$/;

type Parts = Record<string, string>;

/**
 * Returns the changes to the base, by the name of the changed tensor.
 * @param base names of the base's tensors
 * @throws ConfigurationError for an adapter tensor that matches nothing in the base
 */
export function readUpdates(adapter: SafetensorsFile, base: readonly string[]): Map<string, Update> {
  const updates = new Map<string, Update>();
  const modules = new Map<string, Parts>();
  const { path } = adapter;
  for (const name of adapter.tensors.keys()) {
    if (!name.startsWith(prefix)) {
      throw new ConfigurationError(
        `${path}: ${name} does not begin with ${prefix}; expected an adapter of peft`,
      );
    }
    const found = part.exec(name.slice(prefix.length))?.groups;
    if (!found) {
      const replaced = name.slice(prefix.length).replace('.modules_to_save.default', '');
      updates.set(inBase(replaced, base, path) ?? ownHead(replaced, name, path), {
        kind: 'replaced',
        by: name,
      });
      continue;
    }
    const parts = modules.get(found.module!) ?? {};
    parts[found.part!] = name;
    modules.set(found.module!, parts);
  }
  for (const [module, parts] of modules) {
    const tensor = inBase(`${module}.weight`, base, path);
    if (tensor === null) throw unknown(Object.values(parts)[0]!, path);
    updates.set(tensor, added(module, parts, path));
  }
  return updates;
}

function added(module: string, parts: Parts, path: string): Update {
  const isEmbedding = parts.lora_embedding_A !== undefined;
  const [a, b] = isEmbedding
    ? [parts.lora_embedding_A, parts.lora_embedding_B]
    : [parts.lora_A, parts.lora_B];
  const magnitude = parts.lora_magnitude_vector ?? null;
  if (a === undefined || b === undefined)
    throw new ConfigurationError(`${path}: ${module} has only one of its two LoRA tensors`);
  if (isEmbedding && magnitude !== null)
    throw new ConfigurationError(`${path}: ${module} is a table adapted by DoRA; merge it with peft`);
  return { kind: 'added', module, a, b, isEmbedding, magnitude };
}

/** The prefix of a name depends on how the model was loaded: `model.`, `model.language_model.`, none. */
const behindPrefix = (name: string) => name.replace(/^((model|language_model|text_model)\.)+/, '');

function inBase(name: string, base: readonly string[], path: string): string | null {
  if (base.includes(name)) return name;
  const end = behindPrefix(name);
  const alike = base.filter((other) => behindPrefix(other) === end);
  if (alike.length > 1)
    throw new ConfigurationError(`${path}: ${name} could mean ${alike[0]} or ${alike[1]} of the base`);
  return alike[0] ?? null;
}

/** A base that uses its table as the head has no head tensor: the adapter's becomes a separate one. */
function ownHead(name: string, inAdapter: string, path: string): string {
  if (name === 'lm_head.weight') return name;
  throw unknown(inAdapter, path);
}

const unknown = (name: string, path: string) =>
  new ConfigurationError(
    `${path}: ${name} changes a tensor that the base model does not have; is it for another base?`,
  );
