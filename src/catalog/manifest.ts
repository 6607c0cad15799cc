import Type from 'typebox';
import { modelLimits } from './model-limits.ts';

export const manifestFormat = 1;

export const precisions = ['fp32', 'fp16', 'bf16', 'int8', 'int4'] as const;
export type Precision = (typeof precisions)[number];

const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const count = Type.Integer({ minimum: 0 });
const upTo = (maximum: number) => Type.Integer({ minimum: 1, maximum });
const tokenId = Type.Integer({ minimum: 0, maximum: modelLimits.vocab });
const tokenIds = Type.Array(tokenId, { maxItems: 8192 });
const heads = upTo(modelLimits.heads);
const headSize = upTo(modelLimits.headSize);
const positions = upTo(modelLimits.positions);

/** Contents of manifest.json in an export folder: everything the engine needs in addition to the graphs. */
export const ManifestSchema = Type.Object({
  format: Type.Literal(manifestFormat),
  /** Version of the exporter that wrote the folder; an export by another version is stale. */
  exporter: Type.String(),
  /** sha256 over the checkpoint's config and weights. */
  digest: Type.String(),
  /** The checkpoint's files at export, so that an unchanged checkpoint need not be hashed again. */
  source: Type.Array(Type.Object({ file: Type.String(), size: count, mtimeMs: Type.Number() })),
  /** The export's own files, so that a truncated or foreign one is noticed. */
  files: Type.Array(Type.Object({ file: Type.String(), size: count, sha256: Type.String() })),
  /** Only a name, for people: what differs between families is in the other fields. */
  family: Type.String({ pattern: '^[a-z0-9]+$' }),
  precision: Type.Union([
    Type.Literal('fp32'),
    Type.Literal('fp16'),
    Type.Literal('bf16'),
    Type.Literal('int8'),
    Type.Literal('int4'),
  ]),
  /** null: the representation is as wide as a layer. */
  altup: nullable(
    Type.Object({
      numBlocks: upTo(modelLimits.blocks),
      selection: Type.Union([Type.Literal('alternating'), Type.Literal('same')]),
      recycled: Type.Boolean(),
      /** All tokens share the coefficients, or a router computes them for each token. */
      coefficients: Type.Union([Type.Literal('shared'), Type.Literal('perToken')]),
    }),
  ),
  /** How the encoder reduces the tokens it computes; null: it computes all of them. */
  sequence: nullable(
    Type.Object({
      method: Type.Union([Type.Literal('altup'), Type.Literal('skip'), Type.Literal('average')]),
      stride: upTo(modelLimits.blocks),
    }),
  ),
  /** Sparse experts; null: none. */
  moe: nullable(Type.Object({ numExperts: upTo(modelLimits.experts), topK: upTo(modelLimits.experts) })),
  /** Number of trained parameters in the checkpoint. */
  parameters: count,
  graphs: Type.Object({ decoder: Type.String(), encoder: nullable(Type.String()) }),
  vocabSize: upTo(modelLimits.vocab),
  specialTokens: Type.Object({
    eos: tokenIds,
    bos: nullable(tokenId),
    pad: nullable(tokenId),
    /** First decoder token of an encoder-decoder model. */
    decoderStart: nullable(tokenId),
  }),
  /** One entry per decoder layer with a self-attention cache of its own. */
  cache: Type.Array(Type.Object({ kvHeads: heads, headSize, slidingWindow: nullable(positions) }), {
    maxItems: modelLimits.layers,
  }),
  /** One entry per cross-attention layer; empty for decoder-only models. */
  cross: Type.Array(Type.Object({ heads, headSize }), { maxItems: modelLimits.layers }),
  /** Tokens that stand for an image or a sound, or enclose one. The service refuses prompts that contain them. */
  mediaTokens: Type.Object({ image: tokenIds, audio: tokenIds }),
  /** Decoder positions that the model supports. */
  contextLength: positions,
  /** Encoder positions that the model supports; null for decoder-only models. */
  encoderContextLength: nullable(positions),
});

export type Manifest = Type.Static<typeof ManifestSchema>;
