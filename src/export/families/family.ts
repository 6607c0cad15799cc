import type { FunctionProto, OperatorSetIdProto } from 'onnx-buf';
import type { ConfigReader } from '../../catalog/config-reader.ts';
import type { Manifest, Precision } from '../../catalog/manifest.ts';
import type { WeightSource } from '../checkpoint/weight-source.ts';
import type { GraphBuilder } from '../onnx/graph-builder.ts';

export interface FamilyModel {
  /** The graph called `decoder` is required, `encoder` is optional. */
  graphs: GraphBuilder[];
  functions: FunctionProto[];
  opsets: OperatorSetIdProto[];
  /** What a family alone knows of the manifest. */
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

/** Builds the graphs of one model family; weights are only referred to. */
export type FamilyExport = (
  config: ConfigReader,
  weights: WeightSource,
  precision: Precision,
) => Promise<FamilyModel>;
