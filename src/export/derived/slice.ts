import { ConfigReader, type Range } from '../../catalog/config-reader.ts';
import { modelLimits } from '../../catalog/model-limits.ts';
import { ConfigurationError } from '../../errors.ts';

/** A slice of a MatFormer (arXiv 2310.07707), such as Gemma 3n. */
export interface Slice {
  /** Indices of the layers left out. */
  skipped: readonly number[];
  /** Feed-forward width of each kept layer: the number of first rows and columns to keep. */
  widths: readonly number[];
}

/** The fields of a Gemma 3n's config.json that a slice must respect. */
export interface Sliceable {
  layers: number;
  widths: readonly number[];
  layerTypes: readonly string[];
  /** This layer and all later ones read the keys and values of earlier layers. */
  firstShared: number;
}

const layer: Range = [0, modelLimits.layers];

/** Gemma 3n E2B as a slice of E4B: no layers 20 to 24, half the feed-forward width (Google's MatFormer Lab). */
const e2b = {
  layers: 35,
  width: 16_384,
  slice: { skipped: [20, 21, 22, 23, 24], widths: Array(30).fill(8192) },
};

/** @param config config.json of a Gemma 3n, or its `text_config` */
export function readSliceable(config: ConfigReader): Sliceable {
  const layers = config.integer('num_hidden_layers', [1, modelLimits.layers]);
  const width: Range = [1, modelLimits.width];
  const widths = config.isList('intermediate_size')
    ? config.integers('intermediate_size', layers, width)
    : Array<number>(layers).fill(config.integer('intermediate_size', width));
  const kinds = ['sliding_attention', 'full_attention'];
  return {
    layers,
    widths,
    layerTypes:
      config.oneOfEach('layer_types', layers, kinds, { missing: null }) ??
      Array.from({ length: layers }, (_, i) => kinds[(i + 1) % 5 === 0 ? 1 : 0]!),
    firstShared: layers - config.integer('num_kv_shared_layers', layer, { missing: 15 }),
  };
}

/**
 * @param asked `E2B`, or the path of a JSON file: `{"skip_layers": [20, 21], "intermediate_size": [8192, …]}`, with one
 *   width for all kept layers or one for each
 * @throws ConfigurationError if the model does not contain the slice
 */
export async function readSlice(asked: string, model: Sliceable, checkpoint: string): Promise<Slice> {
  if (asked === 'E2B') {
    if (model.layers === e2b.layers && model.widths.every((width) => width === e2b.width)) return e2b.slice;
    throw new ConfigurationError(
      `${checkpoint}: has ${model.layers} layers of width up to ${Math.max(...model.widths)}; E2B can only be sliced from E4B, which has ${e2b.layers} layers of width ${e2b.width}`,
    );
  }
  const file = await ConfigReader.open(asked);
  file.allowOnly(['skip_layers', 'intermediate_size']);
  const skipped = file.has('skip_layers') ? readSkipped(file, model) : [];
  const kept = keptLayers(model, { skipped });
  const most = Math.max(...model.widths);
  const widths = file.isList('intermediate_size')
    ? file.integers('intermediate_size', kept.length, [1, most])
    : Array<number>(kept.length).fill(file.integer('intermediate_size', [1, most]));
  const tooWide = kept.findIndex((index, i) => widths[i]! > model.widths[index]!);
  if (tooWide >= 0)
    throw file.refuse(
      'intermediate_size',
      `at most ${model.widths[kept[tooWide]!]}, the width of layer ${kept[tooWide]}`,
    );
  return { skipped, widths };
}

export const keptLayers = ({ layers }: Pick<Sliceable, 'layers'>, { skipped }: Pick<Slice, 'skipped'>) =>
  Array.from({ length: layers }, (_, index) => index).filter((index) => !skipped.includes(index));

function readSkipped(file: ConfigReader, model: Sliceable): readonly number[] {
  const skipped = file.integers('skip_layers', file.lengthOf('skip_layers'), [0, model.layers - 1]);
  if (skipped.length >= model.layers) throw file.refuse('skip_layers', 'at least one layer to keep');
  const sources = ['sliding_attention', 'full_attention'].map((kind) =>
    model.layerTypes.slice(0, model.firstShared).lastIndexOf(kind),
  );
  const needed =
    model.firstShared < model.layers ? skipped.find((index) => sources.includes(index)) : undefined;
  if (needed !== undefined)
    throw file.refuse('skip_layers', `not layer ${needed}: later layers read its keys and values`);
  return skipped;
}
