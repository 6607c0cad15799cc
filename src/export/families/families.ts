import type { ConfigReader } from '../../catalog/config-reader.ts';
import type { Manifest } from '../../catalog/manifest.ts';
import type { SpecialTokens } from '../../catalog/tokenizer/special-tokens.ts';
import type { FamilyExport } from './family.ts';
import { exportGemma3 } from './gemma3/export.ts';
import { exportGemma3n } from './gemma3n/export.ts';
import { t5Types } from './t5/config.ts';
import { exportT5 } from './t5/export.ts';

export interface Family {
  name: Manifest['family'];
  export: FamilyExport;
  /** Defaults of the family's Hugging Face config class, for fields missing from the files. */
  specialTokens: Partial<SpecialTokens>;
}

const gemmaTokens = { eos: [1], bos: 2, pad: 0 };
const gemma3: Family = { name: 'gemma3', export: exportGemma3, specialTokens: gemmaTokens };
const gemma3n: Family = { name: 'gemma3n', export: exportGemma3n, specialTokens: gemmaTokens };

// T5 starts decoding with the padding token.
const t5: Family = { name: 't5', export: exportT5, specialTokens: { eos: [1], pad: 0, decoderStart: 0 } };

const families: Readonly<Record<string, Family>> = {
  ...Object.fromEntries(t5Types.map((type) => [type, t5])),
  // In transformers, `_text` marks the text model without other towers.
  gemma3,
  gemma3_text: gemma3,
  gemma3n,
  gemma3n_text: gemma3n,
};

/** The family that `model_type` names. */
export function familyOf(config: ConfigReader): Family {
  return families[config.oneOf('model_type', Object.keys(families))]!;
}
