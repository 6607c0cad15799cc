import ipaddr from 'ipaddr.js';
import { UsageError } from '../errors.ts';

/** Named ranges for trusted proxies, as in `@fastify/proxy-addr`. */
const namedRanges = ['loopback', 'linklocal', 'uniquelocal'];

const itemsOf = (text: string) => text.split(',').map((item) => item.trim());

function isAddressOrPrefix(text: string): boolean {
  const [address = '', ...rest] = text.split('/');
  const isAddress = ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address);
  if (!isAddress || rest.length > 1) return false;
  if (rest.length === 0) return true;
  const longest = ipaddr.parse(address).kind() === 'ipv4' ? 32 : 128;
  // A prefix of length 0 would let anybody claim any address.
  return /^[1-9]\d{0,2}$/.test(rest[0]!) && Number(rest[0]) <= longest;
}

/**
 * Reads the proxies whose `X-Forwarded-For` is trusted.
 * @param source the variable or flag the text comes from
 */
export function parseTrustedProxies(source: string, text: string): string[] {
  const proxies = itemsOf(text);
  const wrong = proxies.find((proxy) => !namedRanges.includes(proxy) && !isAddressOrPrefix(proxy));
  if (wrong === undefined) return proxies;
  throw new UsageError(
    `${source}: '${wrong.slice(0, 100)}' is not valid; expected addresses, prefixes such as 10.0.0.0/8, or ${namedRanges.join(', ')}, separated by commas`,
  );
}

/**
 * Reads the names allowed in `Host` headers, in lower case: `api.example.com`, `*.example.com` or `*`.
 * @param source the variable or flag the text comes from
 */
export function parseAllowedHosts(source: string, text: string): string[] {
  const hosts = itemsOf(text).map((host) => host.toLowerCase());
  const wrong = hosts.find((host) => host !== '*' && !/^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(host));
  if (wrong === undefined) return hosts;
  throw new UsageError(
    `${source}: '${wrong.slice(0, 100)}' is not valid; expected host names without scheme and port, such as api.example.com, *.example.com or *, separated by commas`,
  );
}

/**
 * Reads the origins of web pages that may call the service, in the form in which browsers send them; `*`: all.
 * @param source the variable or flag the text comes from
 */
export function parseCorsOrigins(source: string, text: string): string[] {
  const origins = itemsOf(text);
  const wrong = origins.find((origin) => origin !== '*' && !isOrigin(origin));
  if (wrong === undefined) return origins;
  throw new UsageError(
    `${source}: '${wrong.slice(0, 100)}' is not valid; expected origins without a path and a default port, such as https://app.example.com or http://localhost:3000, separated by commas, or *`,
  );
}

/**
 * Reads the origins of servers that the page at `/` may call; `*`: all. They become part of its content policy, so only
 * plain hosts are accepted; a policy cannot name an IPv6 address.
 * @param source the variable or flag the text comes from
 */
export function parseServerOrigins(source: string, text: string): string[] {
  const origins = itemsOf(text);
  const wrong = origins.find(
    (origin) => origin !== '*' && !(/^https?:\/\/[\w.:-]+$/.test(origin) && isOrigin(origin)),
  );
  if (wrong === undefined) return origins;
  throw new UsageError(
    `${source}: '${wrong.slice(0, 100)}' is not valid; expected origins without a path and a default port, such as http://127.0.0.1:8000 or https://llm.example.com, separated by commas, or *`,
  );
}

function isOrigin(text: string): boolean {
  if (!/^[a-z][a-z\d+.-]*:\/\/[^\s/?#@*]+$/.test(text)) return false;
  const url = URL.parse(text);
  // Other schemes, such as a browser extension's, have no origin in the URL standard.
  return url !== null && (!/^https?:$/.test(url.protocol) || url.origin === text);
}

/** Whether only this machine can connect to a service that listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || (ipaddr.isValid(host) && ipaddr.process(host).range() === 'loopback');
}
