/** Times relative to the dense model of the same shape, from rounds side by side: median, minimum, maximum. */
export type Relative = [number, number, number];

export const relativeText = ([middle, least, most]: Relative) =>
  `${middle.toFixed(2)} (${least.toFixed(2)}–${most.toFixed(2)})`;
