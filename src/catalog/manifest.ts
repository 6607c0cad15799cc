import Type from 'typebox';

export const manifestFormat = 1;

export const precisions = ['fp32', 'fp16', 'int8', 'int4'] as const;
export type Precision = (typeof precisions)[number];

const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const count = Type.Integer({ minimum: 0 });
const size = Type.Integer({ minimum: 1 });

/** What manifest.json in an export folder holds: all the engine needs to know beside the graphs. */
export const ManifestSchema = Type.Object({
  format: Type.Literal(manifestFormat),
  /** Version of the exporter that wrote the folder; an export by another version is stale. */
  exporter: Type.String(),
  /** sha256 over the checkpoint's config and weights. */
  digest: Type.String(),
  /** The checkpoint's files as they were, so that an unchanged checkpoint need not be hashed again. */
  source: Type.Array(Type.Object({ file: Type.String(), size: count, mtimeMs: Type.Number() })),
  /** The export's own files, so that a cut or foreign one is noticed. */
  files: Type.Array(Type.Object({ file: Type.String(), size: count, sha256: Type.String() })),
  family: Type.Union([Type.Literal('t5'), Type.Literal('gemma3'), Type.Literal('gemma3n')]),
  precision: Type.Union([
    Type.Literal('fp32'),
    Type.Literal('fp16'),
    Type.Literal('int8'),
    Type.Literal('int4'),
  ]),
  /** null: the representation is as wide as a layer. */
  altup: nullable(
    Type.Object({
      numBlocks: size,
      selection: Type.Union([Type.Literal('alternating'), Type.Literal('same')]),
      recycled: Type.Boolean(),
    }),
  ),
  /** How the encoder saves tokens; null: it computes all of them. */
  sequence: nullable(
    Type.Object({
      method: Type.Union([Type.Literal('altup'), Type.Literal('skip'), Type.Literal('average')]),
      stride: size,
    }),
  ),
  /** Sparse experts; null: none. */
  moe: nullable(Type.Object({ numExperts: size, topK: size })),
  /** Trained numbers in the checkpoint. */
  parameters: count,
  graphs: Type.Object({ decoder: Type.String(), encoder: nullable(Type.String()) }),
  vocabSize: size,
  specialTokens: Type.Object({
    eos: Type.Array(count),
    bos: nullable(count),
    pad: nullable(count),
    /** First decoder token of an encoder-decoder model. */
    decoderStart: nullable(count),
  }),
  /** One entry per decoder layer with a self-attention cache of its own. */
  cache: Type.Array(Type.Object({ kvHeads: size, headSize: size, slidingWindow: nullable(size) })),
  /** One entry per cross-attention layer; empty for decoder-only models. */
  cross: Type.Array(Type.Object({ heads: size, headSize: size })),
  /** Tokens that stand for an image or a sound, or enclose one: prompts that hold them are refused. */
  mediaTokens: Type.Object({ image: Type.Array(count), audio: Type.Array(count) }),
  /** Decoder positions the model is good for. */
  contextLength: size,
  /** Encoder positions the model is good for; null for decoder-only models. */
  encoderContextLength: nullable(size),
});

export type Manifest = Type.Static<typeof ManifestSchema>;
