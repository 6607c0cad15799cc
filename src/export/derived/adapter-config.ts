import { join } from 'node:path';
import { ConfigReader, unsaid } from '../../catalog/config-reader.ts';
import { ConfigurationError } from '../../errors.ts';

/** The fields of a `peft` adapter's adapter_config.json that decide how to merge it. */
export interface AdapterConfig {
  alpha: number;
  /** Overrides of `alpha`, by the end of a module's name. */
  alphas: ReadonlyMap<string, number>;
  /** Scale by 1/√r instead of 1/r (arXiv 2312.03732). */
  isRankStabilised: boolean;
  /** DoRA: the product adapts the direction, a separate tensor holds the magnitude (arXiv 2402.09353). */
  isDecomposed: boolean;
}

/** Fields to ignore: they describe the training, or the tensors say the same. */
const informational = [
  ...['auto_mapping', 'base_model_name_or_path', 'exclude_modules', 'inference_mode', 'layers_pattern'],
  ...[
    'layers_to_transform',
    'lora_dropout',
    'megatron_core',
    'modules_to_save',
    'peft_version',
    'eva_config',
  ],
  ...['qalora_group_size', 'r', 'rank_pattern', 'revision', 'target_modules', 'task_type'],
];
const read = [
  'peft_type',
  'bias',
  'init_lora_weights',
  'lora_alpha',
  'alpha_pattern',
  'use_rslora',
  'use_dora',
];
/** Values of `init_lora_weights` that leave the base's weights unchanged. */
const soundBeginnings: readonly unknown[] = [undefined, null, true, false, 'gaussian', 'orthogonal', 'eva'];

/** @throws ConfigurationError that names the first field beyond LoRA, rsLoRA and DoRA */
export async function readAdapterConfig(folder: string): Promise<AdapterConfig> {
  const file = join(folder, 'adapter_config.json');
  const config = await ConfigReader.open(file);
  config.oneOf('peft_type', ['LORA']);
  config.oneOf('bias', ['none'], { missing: 'none' });
  for (const field of config.fields) {
    if (read.includes(field) || informational.includes(field) || config.isEmpty(field)) continue;
    throw config.refuse(field, 'no value: altup cannot merge adapters that use it; merge it with peft');
  }
  if (!config.isOneOf('init_lora_weights', soundBeginnings)) {
    throw config.refuse(
      'init_lora_weights',
      'true: other values also change the base; save the adapter for the plain base',
    );
  }
  const alphas = config.object('alpha_pattern');
  return {
    alpha: config.number('lora_alpha', [0, 1e6], { missing: 8 }),
    alphas: new Map(
      (alphas?.fields ?? []).map((name) => [plainName(file, name), alphas!.number(name, [0, 1e6])]),
    ),
    isRankStabilised: config.boolean('use_rslora', unsaid(false)),
    isDecomposed: config.boolean('use_dora', unsaid(false)),
  };
}

function plainName(file: string, name: string): string {
  if (/^[\w.]+$/.test(name)) return name;
  throw new ConfigurationError(
    `${file}: alpha_pattern has the pattern ${name.slice(0, 100)}; expected ends of module names, such as self_attn.q_proj`,
  );
}
