import { isUtf8 } from 'node:buffer';
import type { FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { paramOf, shortName } from '../errors/validation-error.ts';
import type { App } from '../server-dependencies.ts';
import { Turns, wholeTurn } from './in-turns.ts';

/** Maximum nesting of a body. Later readers recurse: JSON.stringify, templates, serde_json with its limit of 128. */
export const maxDepth = 100;

/** Bytes of a body that parses in at most a millisecond. Each larger body gets its own turn of the event loop. */
const maxSmallBody = 65_536;

const [quote, backslash] = Buffer.from('"\\');
const [openBracket, openBrace, closeBracket, closeBrace] = Buffer.from('[{]}');

/** Where a JSON text is nested too deep. */
interface DeepPlace {
  at: number;
  /** The last string directly in the text: the member's name, if an object or array follows. */
  member: string;
}

/**
 * Finds where a JSON text is nested too deep, before anything reads it: V8 alone takes 200 ms for a megabyte of
 * brackets. Looks only at brackets and strings; the parser checks the rest.
 */
export function tooDeep(bytes: Buffer): DeepPlace | null {
  let depth = 0;
  let [start, end] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      const from = at + 1;
      while (++at < bytes.length && bytes[at] !== quote) if (bytes[at] === backslash) at++;
      if (depth === 1) [start, end] = [from, at];
    } else if (byte === openBracket || byte === openBrace) {
      depth++;
      if (depth > maxDepth) return { at, member: bytes.toString('utf8', start, end) };
    } else if (byte === closeBracket || byte === closeBrace) depth--;
  }
  return null;
}

function checkDepth(bytes: Buffer): void {
  const deep = tooDeep(bytes);
  if (deep === null) return;
  const field = shortName(deep.member);
  throw invalidRequest(
    field || null,
    `${field ? `\`${field}\`` : 'The body'} is nested more than ${maxDepth} levels deep, at byte ${deep.at}.`,
  );
}

/** An object or array inside a body, and its location. */
interface Location {
  value: object;
  key: string;
  within: Location | null;
}

/** Such as `messages[0].content`. */
function pathOf({ value, key, within }: Location, inner: string): string {
  const path = within === null ? '' : pathOf(within, key);
  if (Array.isArray(value)) return `${path}[${inner}]`;
  return path === '' ? inner : `${path}.${inner}`;
}

function refuseValue(location: Location, key: string | number, fault: string): never {
  const path = pathOf(location, String(key));
  throw invalidRequest(shortName(paramOf(path)) || null, `\`${shortName(path)}\` ${fault}.`);
}

const loneSurrogate = (text: string) => {
  const [half] = /\p{Surrogate}/u.exec(text)!;
  return `\\u${half.charCodeAt(0).toString(16)}`;
};

/**
 * Refuses what JSON can express but no field can mean, not even a free-form one: halves of characters, numbers beyond
 * 64-bit floating point, and the name `__proto__`. Runs in turns: a body may have 500,000 values.
 */
async function checkValues(body: unknown): Promise<void> {
  const turns = new Turns();
  const open: Location[] = [];
  const check = (location: Location, key: string | number, value: unknown) => {
    if (typeof value === 'object' && value !== null) {
      open.push({ value, key: String(key), within: location });
    } else if (typeof value === 'string' && !value.isWellFormed()) {
      refuseValue(location, key, `has a lone surrogate, ${loneSurrogate(value)}, which is half a character`);
    } else if (typeof value === 'number' && !Number.isFinite(value)) {
      refuseValue(location, key, 'is a number outside the range of 64-bit floating point');
    }
  };
  let checked = 0;
  if (typeof body === 'object' && body !== null) open.push({ value: body, key: '', within: null });
  for (let location = open.pop(); location; location = open.pop()) {
    const { value } = location;
    const names = Array.isArray(value) ? null : Object.keys(value);
    const length = names?.length ?? (value as unknown[]).length;
    for (let i = 0; i < length; i++) {
      const key = names?.[i] ?? i;
      check(location, key, (value as Record<string | number, unknown>)[key]);
      if (names) checkName(location, names[i]!);
      checked += 1;
      if (checked % 1024 === 0) await turns.next();
    }
  }
}

function checkName(location: Location, name: string): void {
  if (name === '__proto__') refuseValue(location, name, 'is not allowed: no field may have this name');
  if (name.isWellFormed()) return;
  refuseValue(location, name.toWellFormed(), `has a lone surrogate in its name, ${loneSurrogate(name)}`);
}

/** What is wrong with invalid JSON, from V8's message, with at most one character of the client's text. */
function syntaxFault({ message }: Error): string {
  const [, line, column] = /\(line (\d+) column (\d+)\)/.exec(message) ?? [];
  if (line) return `there is a syntax error in line ${line}, column ${column}`;
  const [, character] = /^Unexpected token '(.+?)',/su.exec(message) ?? [];
  return character ? `unexpected \`${character}\`` : 'it ends too early';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidRequest(null, `The body is not valid JSON: ${syntaxFault(error as Error)}.`);
  }
}

/** Index of the first byte that is not UTF-8. */
function badByte(bytes: Buffer): number {
  const repaired = Buffer.from(bytes.toString());
  return bytes.findIndex((byte, index) => byte !== repaired[index]);
}

const unsupported = (message: string) => new ServiceError('unsupported_media_type', message);

/** Accepts only uncompressed JSON in UTF-8. */
export function readJsonBodies(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async ({ headers, method, raw }: FastifyRequest, bytes: Buffer) => {
      const encoding = headers['content-encoding']?.trim() || 'identity';
      if (encoding.toLowerCase() !== 'identity') {
        throw unsupported(
          `The body has the Content-Encoding '${shortName(encoding)}'; send it without compression.`,
        );
      }
      const [, charset] = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(headers['content-type']!) ?? [];
      if (charset && !/^(utf-?8|us-ascii)$/i.test(charset)) {
        throw unsupported(`The body has the charset '${shortName(charset)}'; send it as UTF-8.`);
      }
      // OpenAI's Python client names a content type in DELETE too, where there is no body.
      if (bytes.length === 0 && method === 'DELETE') return undefined;
      if (bytes.length === 0) throw invalidRequest(null, 'The body is empty; send a JSON object.');
      if (bytes.length > maxSmallBody) {
        await wholeTurn();
        // Nobody reads the error of a client that left meanwhile.
        if (raw.socket.destroyed) throw invalidRequest(null, 'The connection was closed.');
      }
      if (!isUtf8(bytes)) {
        throw invalidRequest(
          null,
          `The body is not UTF-8: byte ${badByte(bytes)} is not part of a character.`,
        );
      }
      checkDepth(bytes);
      const body = parse(bytes.toString().replace(/^\ufeff/, ''));
      await checkValues(body);
      return body;
    },
  );
}
