import type { Manifest } from '../catalog/manifest.ts';

/**
 * The kind of model as metrics and model cards name it: `dense`, `altup-k2`, `recycled-k4`, `sameup-k2`,
 * `sequence-altup`, `stride-skip`, `average-pool`, `moe`, or several of them, such as `altup-k2-moe`.
 */
export function modelVariant(manifest: Manifest): string {
  const kinds = [
    inWidth(manifest),
    manifest.sequence && sequenceKinds[manifest.sequence.method],
    manifest.moe && 'moe',
  ];
  return kinds.filter((kind) => kind !== null).join('-') || 'dense';
}

const sequenceKinds = { altup: 'sequence-altup', skip: 'stride-skip', average: 'average-pool' };

function inWidth({ altup }: Manifest): string | null {
  if (altup === null) return null;
  const kind = altup.recycled
    ? 'recycled'
    : altup.selection === 'same' && altup.coefficients === 'shared'
      ? 'sameup'
      : 'altup';
  return `${kind}-k${altup.numBlocks}`;
}
