import type { DestinationStream } from 'pino';

/** A log record as the logger writes it. */
type LogRecord = Record<string, unknown> & { level: string; time: string; msg: string };

/** Characters that would change a terminal instead of showing: what a client or a checkpoint wrote may be in a line. */
const controls = /[\p{Cc}\u2028\u2029]/gu;

/** Width of a model's name in the list at the start. */
const nameWidth = 24;

/** Writes log records for people instead of programs: a short start, then a line for each event. */
export class TerminalLog implements DestinationStream {
  readonly #output: DestinationStream;
  readonly #version: string;
  #url = '';

  constructor(output: DestinationStream, version: string) {
    this.#output = output;
    this.#version = version;
  }

  write(line: string): void {
    const text = this.#textOf(JSON.parse(line));
    if (text !== null) this.#output.write(`${text}\n`);
  }

  #textOf(record: LogRecord): string | null {
    const { msg, model } = record;
    const ofModel = (state: string) => `  ${plain(model).padEnd(nameWidth)} ${state}`;
    switch (msg) {
      case 'runtime':
        return `altup-serve ${this.#version}, ${plain(record.backend)} backend on ${plain(record.executionProvider)}`;
      case 'listening':
        this.#url = plain(record.url);
        return `Listening on ${this.#url}; Ctrl-C stops.`;
      case 'exporting':
      case 'downloading':
        return ofModel([`${msg}, ${record.percent} %`, plain(record.left)].filter(Boolean).join(', '));
      case 'model ready':
        return ofModel(`ready${seconds(record.loadSeconds)}`);
      case 'model failed':
        return ofModel(`failed: ${plain(record.reason)}`);
      case 'ready':
        return this.#whatToTry(record.models as string[]);
      case 'request':
        return `${clock(record)} ${requestText(record)}`;
      default:
        // Fastify says once for each address what `listening` says.
        return msg.startsWith('Server listening at ') ? null : `${clock(record)} ${eventText(record)}`;
    }
  }

  #whatToTry(models: readonly string[]): string {
    const url = this.#url;
    // A command finds the service of its own machine on the default port by itself.
    const where = url === 'http://127.0.0.1:8080' ? '' : ` --url ${url}`;
    return [
      '',
      `${models.length} ${models.length === 1 ? 'model is' : 'models are'} ready. Try:`,
      `  npx altup complete --model ${plain(models[0])}${where} "It is a truth"`,
      `  npx altup chat${where}`,
      `  ${url}/      the playground`,
      `  ${url}/docs  the API`,
      '',
    ].join('\n');
  }
}

const plain = (value: unknown): string =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).replace(controls, ' ');

const clock = ({ time }: LogRecord): string => new Date(time).toTimeString().slice(0, 8);

const seconds = (value: unknown): string => (typeof value === 'number' ? ` in ${shown(value)} s` : '');

/** Three digits are enough to read. */
const shown = (value: number): string =>
  Math.abs(value) >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));

function requestText(record: LogRecord): string {
  const { method, route, status, durationMs, model, promptTokens, generatedTokens, errorCode, client } =
    record;
  const parts = [
    errorCode,
    model,
    typeof generatedTokens === 'number' ? `${promptTokens} + ${generatedTokens} tokens` : undefined,
    client,
  ].flatMap((part) => (part === undefined ? [] : [plain(part)]));
  const what = `${plain(method)} ${route === 'none' ? 'unknown path' : plain(route)} ${status}`;
  return [`${what} in ${shown(durationMs as number)} ms`, ...parts].join(', ');
}

/** An event without words of its own: its message and its fields. */
function eventText({ level, time: _, msg, err, ...fields }: LogRecord): string {
  const severity = level === 'info' ? '' : `${level}: `;
  const details = Object.entries(fields).map(
    ([name, value]) => ` ${name}=${typeof value === 'number' ? shown(value) : plain(value)}`,
  );
  const { stack } = (err ?? {}) as { stack?: string };
  const trace = (stack?.split('\n') ?? []).map((line) => `\n  ${plain(line)}`);
  return `${severity}${plain(msg)}${details.join('')}${trace.join('')}`;
}
