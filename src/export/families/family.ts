import type { FunctionProto, OperatorSetIdProto } from 'onnx-buf';
import type { ConfigReader } from '../../catalog/config-reader.ts';
import type { Manifest, Precision } from '../../catalog/manifest.ts';
import type { SpecialTokens } from '../../catalog/tokenizer/special-tokens.ts';
import type { WeightSource } from '../checkpoint/weight-source.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';

export interface Family {
  /** Its name in manifests, which metrics and `altup inspect` show. */
  name: string;
  /** The values of `model_type` in config.json that it reads. */
  modelTypes: readonly string[];
  export: FamilyExport;
  /** Defaults of the family's Hugging Face config class, for fields missing from the files. */
  specialTokens: Partial<SpecialTokens>;
}

export interface FamilyModel {
  /** A graph named `decoder`, and optionally one named `encoder`. */
  graphs: GraphBuilder[];
  functions: FunctionProto[];
  opsets: OperatorSetIdProto[];
  /** The manifest fields that only the family knows. */
  manifest: Pick<
    Manifest,
    | 'altup'
    | 'sequence'
    | 'moe'
    | 'parameters'
    | 'vocabSize'
    | 'cache'
    | 'cross'
    | 'mediaTokens'
    | 'contextLength'
    | 'encoderContextLength'
  >;
}

/** Builds the graphs of one model. They only refer to weights. */
export type FamilyExport = (
  config: ConfigReader,
  weights: WeightSource,
  precision: Precision,
) => Promise<FamilyModel>;
