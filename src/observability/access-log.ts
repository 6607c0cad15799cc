import type { Logger } from 'pino';

/** An answered request; never a prompt or a completion. Times in milliseconds. */
export interface AccessRecord {
  requestId: string;
  method: string;
  route: string;
  /** 499: the client left first. */
  status: number;
  /** The name of the API key. */
  client: string | null;
  address: string;
  durationMs: number;
  model: string | null;
  /** The answer's `id`. */
  completionId: string | null;
  promptTokens: number | null;
  generatedTokens: number | null;
  /** From arrival until its sequences joined the queue: its text tokenized, its grammar compiled. */
  prepareMs: number | null;
  /** From then until the first sequence got a slot. */
  queueMs: number | null;
  /** From arrival until the first token. */
  firstTokenMs: number | null;
  errorCode: string | null;
  /** true: the service cut the connection because the client did not read its stream. */
  isSlowReader: true | null;
}

/** Logs one line per request. Probes, scrapes and parts of the playground page are frequent, so only at debug level. */
export function logAccess(logger: Logger, record: AccessRecord): void {
  const isRoutine =
    record.method === 'GET' && record.status < 400 && /^\/(health|metrics|playground\/)/.test(record.route);
  const known = Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
  logger[isRoutine ? 'debug' : 'info'](known, 'request');
}
