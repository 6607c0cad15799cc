import type { Logger } from 'pino';

/** What is known of an answered request; never a prompt or a completion. Times in milliseconds. */
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
  /** Until its sequences joined the queue: its text was tokenized, its grammar compiled. */
  prepareMs: number | null;
  /** From then until the first sequence got a slot. */
  queueMs: number | null;
  /** From arrival until the first token. */
  firstTokenMs: number | null;
  errorCode: string | null;
  /** true: it was cut off because it did not read its stream. */
  isSlowReader: true | null;
}

/** One line per request; probes and scrapes, which come every few seconds, and a page's parts only in debug. */
export function logAccess(logger: Logger, record: AccessRecord): void {
  const isRoutine =
    record.method === 'GET' && record.status < 400 && /^\/(health|metrics|playground\/)/.test(record.route);
  const known = Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null));
  logger[isRoutine ? 'debug' : 'info'](known, 'request');
}
