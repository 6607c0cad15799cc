/** Samples of a scrape, by name and labels. */
export interface Scrape {
  /** Sum of the samples with this name and all these labels. */
  sum(name: string, labels?: Record<string, string>): number;
  has(name: string): boolean;
}

interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Reads Prometheus' text format. */
export function parseMetrics(text: string): Scrape {
  const samples: Sample[] = [];
  for (const line of text.split('\n')) {
    const found = /^([\w:]+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!found) continue;
    const labels = [...(found[2] ?? '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)];
    samples.push({
      name: found[1]!,
      labels: Object.fromEntries(labels.map(([, key, value]) => [key, value!.replace(/\\(.)/g, '$1')])),
      value: Number(found[3]),
    });
  }
  return {
    sum: (name, labels = {}) =>
      samples
        .filter((sample) => sample.name === name)
        .filter((sample) => Object.entries(labels).every(([key, value]) => sample.labels[key] === value))
        .reduce((sum, { value }) => sum + value, 0),
    has: (name) => samples.some((sample) => sample.name === name),
  };
}

/** @returns null if the server's metrics cannot be read */
export async function scrapeMetrics(url: string): Promise<Scrape | null> {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(5000) });
    return response.ok ? parseMetrics(await response.text()) : null;
  } catch {
    return null;
  }
}
