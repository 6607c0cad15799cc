type Labels = Record<string, string>;

/** A rendered object of any kind; tests know the fields they read. */
export interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: { name: string; labels?: Labels };
  // biome-ignore lint/suspicious/noExplicitAny: the schemas have checked its shape
  spec?: any;
  data?: Record<string, string>;
}

export function ofKind(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  if (found.length !== 1) throw new Error(`expected one ${kind}, found ${found.length}`);
  return found[0]!;
}

export const selects = (selector: Labels, labels: Labels = {}) =>
  Object.keys(selector).length > 0 &&
  Object.entries(selector).every(([name, value]) => labels[name] === value);
