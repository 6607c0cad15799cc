import { precisions } from '../../src/catalog/manifest.ts';

/** The precisions that the CPU runs. */
export const cpuPrecisions = precisions.filter((precision) => precision !== 'bf16');
