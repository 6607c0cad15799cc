import type { FunctionProto, OperatorSetIdProto } from 'onnx-buf';
import type { ConfigReader } from '../../catalog/config-reader.ts';
import type { Manifest, Precision } from '../../catalog/manifest.ts';
import type { WeightSource } from '../checkpoint/weight-source.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';

export interface FamilyModel {
  /** A graph named `decoder`, and optionally one named `encoder`. */
  graphs: GraphBuilder[];
  functions: FunctionProto[];
  opsets: OperatorSetIdProto[];
  /** The manifest fields that only the family knows. */
  manifest: Pick<
    Manifest,
    | 'family'
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

/** Builds the graphs of one model family. They only refer to weights. */
export type FamilyExport = (
  config: ConfigReader,
  weights: WeightSource,
  precision: Precision,
) => Promise<FamilyModel>;
