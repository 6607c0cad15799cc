import { isUtf8 } from 'node:buffer';
import type { FastifyRequest } from 'fastify';
import { ServiceError } from '../../errors.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import { paramOf, shortName } from '../errors/validation-error.ts';
import type { App } from '../server-dependencies.ts';
import { Turns, wholeTurn } from './in-turns.ts';

/** Deepest a body may nest. What reads it later is recursive: JSON.stringify, templates, serde_json with its limit of 128. */
const maxDepth = 100;

/** Bytes of a body that is parsed in a millisecond at most. Others are waited for, each with the event loop in between. */
const maxSmallBody = 65_536;

const [quote, backslash] = Buffer.from('"\\');
const [openBracket, openBrace, closeBracket, closeBrace] = Buffer.from('[{]}');

/**
 * Refuses what nests too deep, before anything reads it: V8 alone takes 200 ms for a megabyte of brackets.
 * Looks at brackets and strings only; whether the rest is JSON the parser says.
 */
function checkDepth(bytes: Buffer): void {
  let depth = 0;
  /** Of the last string directly in the body, which is the field's name where an object or array comes next. */
  let [start, end] = [0, 0];
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === quote) {
      const from = at + 1;
      while (++at < bytes.length && bytes[at] !== quote) if (bytes[at] === backslash) at++;
      if (depth === 1) [start, end] = [from, at];
    } else if (byte === openBracket || byte === openBrace) {
      depth++;
      if (depth > maxDepth) {
        const field = shortName(bytes.toString('utf8', start, end));
        throw invalidRequest(
          field || null,
          `${field ? `\`${field}\`` : 'The body'} is nested more than ${maxDepth} levels deep, at byte ${at}.`,
        );
      }
    } else if (byte === closeBracket || byte === closeBrace) depth--;
  }
}

/** An object or array inside a body, and where it is. */
interface Place {
  value: object;
  key: string;
  within: Place | null;
}

/** `messages[0].content` */
function pathOf({ value, key, within }: Place, inner: string): string {
  const path = within === null ? '' : pathOf(within, key);
  if (Array.isArray(value)) return `${path}[${inner}]`;
  return path === '' ? inner : `${path}.${inner}`;
}

function refuseValue(place: Place, key: string | number, fault: string): never {
  const path = pathOf(place, String(key));
  throw invalidRequest(shortName(paramOf(path)) || null, `\`${shortName(path)}\` ${fault}.`);
}

const loneSurrogate = (text: string) => {
  const [half] = /\p{Surrogate}/u.exec(text)!;
  return `\\u${half.charCodeAt(0).toString(16)}`;
};

/**
 * Refuses what JSON can write and no field can mean, however free its form: halves of characters, numbers beyond all
 * numbers, and the name by which objects of JavaScript have a prototype. In turns: a body may have 500,000 values.
 */
async function checkValues(body: unknown): Promise<void> {
  const turns = new Turns();
  const open: Place[] = [];
  const check = (place: Place, key: string | number, value: unknown) => {
    if (typeof value === 'object' && value !== null) {
      open.push({ value, key: String(key), within: place });
    } else if (typeof value === 'string' && !value.isWellFormed()) {
      refuseValue(place, key, `has a lone surrogate, ${loneSurrogate(value)}, which is half a character`);
    } else if (typeof value === 'number' && !Number.isFinite(value)) {
      refuseValue(place, key, 'is a number beyond what 64-bit floating point holds');
    }
  };
  let checked = 0;
  if (typeof body === 'object' && body !== null) open.push({ value: body, key: '', within: null });
  for (let place = open.pop(); place; place = open.pop()) {
    const { value } = place;
    const names = Array.isArray(value) ? null : Object.keys(value);
    const length = names?.length ?? (value as unknown[]).length;
    for (let i = 0; i < length; i++) {
      const key = names?.[i] ?? i;
      check(place, key, (value as Record<string | number, unknown>)[key]);
      if (names) checkName(place, names[i]!);
      checked += 1;
      if (checked % 1024 === 0) await turns.next();
    }
  }
}

function checkName(place: Place, name: string): void {
  if (name === '__proto__') refuseValue(place, name, 'is not taken: no field can have this name');
  if (name.isWellFormed()) return;
  refuseValue(place, name.toWellFormed(), `has a lone surrogate in its name, ${loneSurrogate(name)}`);
}

/** What V8 says of a text that is no JSON, without its words and the client's text. */
function syntaxFault({ message }: Error): string {
  const [, line, column] = /\(line (\d+) column (\d+)\)/.exec(message) ?? [];
  if (line) return `there is a mistake in line ${line}, column ${column}`;
  const [, character] = /^Unexpected token '(.+?)',/su.exec(message) ?? [];
  return character ? `\`${character}\` is not expected where it is` : 'it ends too early';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidRequest(null, `The body is not valid JSON: ${syntaxFault(error as Error)}.`);
  }
}

/** Place of the first byte that is not UTF-8. */
function badByte(bytes: Buffer): number {
  const repaired = Buffer.from(bytes.toString());
  return bytes.findIndex((byte, index) => byte !== repaired[index]);
}

const unsupported = (message: string) => new ServiceError('unsupported_media_type', message);

/** Takes JSON in UTF-8, not compressed, and nothing else. */
export function readJsonBodies(app: App): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    'application/json',
    { parseAs: 'buffer' },
    async ({ headers }: FastifyRequest, bytes: Buffer) => {
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
      if (bytes.length === 0) throw invalidRequest(null, 'The body is empty; send a JSON object.');
      if (bytes.length > maxSmallBody) await wholeTurn();
      if (!isUtf8(bytes)) {
        throw invalidRequest(null, `The body is not UTF-8: byte ${badByte(bytes)} belongs to no character.`);
      }
      checkDepth(bytes);
      const body = parse(bytes.toString().replace(/^\ufeff/, ''));
      await checkValues(body);
      return body;
    },
  );
}
