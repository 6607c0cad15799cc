interface Flag {
  /** Placeholder for its value; absent: a flag without a value. */
  value?: string;
  default?: string;
  /** A letter that means the same. */
  short?: string;
  /** The flag may be repeated. */
  isList?: true;
  description: string;
}

/** The flags of `altup loadtest`. The usage text and the table in docs/loadtest.md are made from them. */
export const flags: Record<string, Flag> = {
  url: {
    value: 'URL',
    default: 'http://127.0.0.1:8080',
    isList: true,
    description: 'server, with or without /v1',
  },
  model: {
    value: 'NAME',
    isList: true,
    description: 'model; the first of /v1/models if neither --model nor --baseline is given',
  },
  baseline: { value: 'NAME', isList: true, description: 'model that the others are compared with' },
  endpoint: { value: 'completions|chat', default: 'completions', description: 'API to call' },
  rate: {
    value: 'R,…',
    default: '1',
    description: 'requests per second for each model; each rate is a stage',
  },
  sweep: { description: 'raise the rate until no model keeps up' },
  'sweep-factor': { value: 'F', default: '1.5', description: 'factor from one rate of a sweep to the next' },
  arrivals: {
    value: 'poisson|constant|gamma:B',
    default: 'poisson',
    description: 'gaps between arrivals; with burstiness B below 1, requests come in bursts',
  },
  trace: {
    value: 'FILE',
    description: 'arrival times instead of a rate: seconds, one per line, or JSON lines with timestamp',
  },
  concurrency: {
    value: 'N,…',
    description: 'closed loop instead: N clients that each wait for their answer',
  },
  duration: { value: 'SECONDS', default: '30', description: 'how long a stage sends requests' },
  requests: { value: 'N', description: 'maximum requests per stage' },
  order: {
    value: 'turns|interleaved',
    default: 'turns',
    description: 'models of a stage one after the other, or all at the same time',
  },
  prompts: {
    value: 'FILE',
    description: 'prompts: text, one per line, or JSON lines with prompt and max_tokens',
  },
  'prompt-words': {
    value: 'LENGTHS',
    default: 'lognormal:32,0.5,128',
    description: 'words of the prompts cut from the built-in text',
  },
  'output-tokens': { value: 'LENGTHS', default: '64', description: 'max_tokens' },
  temperature: { value: 'T', default: '0', description: 'temperature of every request' },
  'ignore-eos': { description: 'generate all of max_tokens, if the server supports ignore_eos' },
  body: { value: 'JSON', description: 'JSON object with additional fields for every request' },
  'warm-up': { value: 'N', default: '4', description: 'requests to each model before the first stage' },
  slo: {
    value: 'LIST',
    description: 'objectives for goodput, milliseconds: ttft:200,itl:50,tpot:40,e2e:3000',
  },
  timeout: { value: 'SECONDS', default: '120', description: 'maximum duration of a request' },
  'max-lag': {
    value: 'MS',
    default: '50',
    description: 'maximum lag of the client behind its schedule (p99); above it, a stage is invalid',
  },
  seed: { value: 'N', default: '1', description: 'seed of arrivals, prompts and lengths' },
  'api-key': {
    value: 'KEY',
    description: 'sent as a bearer token; prefer the environment variable ALTUP_API_KEY',
  },
  json: { value: 'FILE', description: "write results with the field names of vLLM's bench serve" },
  html: { value: 'FILE', description: 'write a page with plots' },
  help: { short: 'h', description: 'print this' },
};

/** Every flag as written on the command line, with its description and default. */
export function flagRows(): { flag: string; description: string; default: string }[] {
  return Object.entries(flags).map(([name, { value, default: otherwise = '', isList, description }]) => ({
    flag: `--${name}${value === undefined ? '' : ` ${value}`}`,
    description: isList ? `${description} (repeatable)` : description,
    default: otherwise,
  }));
}

export function loadtestUsage(): string {
  const rows = flagRows();
  const width = Math.max(...rows.map(({ flag }) => flag.length));
  const lines = rows.map(({ flag, description, default: otherwise }) =>
    `  ${flag.padEnd(width)}  ${description}${otherwise === '' ? '' : ` (default: ${otherwise})`}`.trimEnd(),
  );
  const lengths = '  LENGTHS: N, uniform:FROM,TO, or lognormal:MEDIAN,SIGMA[,MAXIMUM]';
  return `Usage: altup loadtest [options]\n\nPuts OpenAI-compatible servers under load and reports latency, throughput and goodput.\n\n${lines.join('\n')}\n\n${lengths}\n`;
}
