import type { AttentionInputs } from './attention.ts';
import type { GemmaGraph } from './graph-parts.ts';
import { type AttentionKind, attentionKinds } from './rope-config.ts';
import { type Angles, rotaryAngles } from './rotary.ts';

/** The inputs of decoder.onnx except the cache. Names follow the convention of onnxruntime-genai. */
export interface DecoderInputs {
  /** int64 [batch, sequence] */
  ids: string;
  /** int64 [rows] into batch × sequence */
  logitPositions: string;
  attention: AttentionInputs;
}

export function decoderInputs({ graph, config }: GemmaGraph): DecoderInputs {
  const ids = graph.input('input_ids', 'int64', ['batch', 'sequence']);
  const positions = graph.input('position_ids', 'int64', ['batch', 'sequence']);
  const seqlens = graph.input('seqlens_k', 'int32', ['batch']);
  const total = graph.input('total_sequence_length', 'int32', [1]);
  const segments = graph.input('segments', 'int32', ['segments', 3]);
  const logitPositions = graph.input('logit_positions', 'int64', ['rows']);
  const used = attentionKinds.filter((kind) => config.layers.some(({ attention }) => attention === kind));
  const angles = Object.fromEntries(
    used.map((kind) => [
      kind,
      rotaryAngles(graph, `/rotary/${kind}`, positions, config.rope[kind], config.headSize),
    ]),
  ) as Record<AttentionKind, Angles>;
  return { ids, logitPositions, attention: { seqlens, total, segments, angles } };
}
