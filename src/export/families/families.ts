import type { ConfigReader } from '../../catalog/config-reader.ts';
import type { Family } from './family.ts';
import { gemma1 } from './gemma1/export.ts';
import { gemma3 } from './gemma3/export.ts';
import { gemma3n } from './gemma3n/export.ts';
import { t5 } from './t5/export.ts';

export const families: readonly Family[] = [t5, gemma1, gemma3, gemma3n];

/** The family that `model_type` names. */
export function familyOf(config: ConfigReader): Family {
  const type = config.oneOf(
    'model_type',
    families.flatMap(({ modelTypes }) => modelTypes),
  );
  return families.find(({ modelTypes }) => modelTypes.includes(type))!;
}
