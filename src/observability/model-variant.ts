import type { Manifest } from '../catalog/manifest.ts';

/** The kind of model in a word, as the metrics and model cards name it: `dense`, `altup-k2`, `recycled-k4`, `sameup-k2`. */
export function modelVariant({ family, altup }: Manifest): string {
  if (altup === null) return 'dense';
  const kind = altup.recycled
    ? 'recycled'
    : altup.selection === 'same' && family !== 'gemma3n'
      ? 'sameup'
      : 'altup';
  return `${kind}-k${altup.numBlocks}`;
}
