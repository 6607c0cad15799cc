import type { FastifyRequest } from 'fastify';
import ipaddr from 'ipaddr.js';
import { ServiceError } from '../../errors.ts';
import { documentErrors } from '../errors/error-schema.ts';
import { invalidRequest } from '../errors/invalid-request.ts';
import type { App, ServerConfig } from '../server-dependencies.ts';

/** Headers that may occur only once: a proxy might read a different line than the service. */
const singular = new Set(['host', 'authorization', 'x-api-key', 'content-type']);

function requireSingular({ raw: { rawHeaders } }: FastifyRequest): void {
  const seen = new Set<string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!singular.has(name)) continue;
    if (seen.has(name)) throw invalidRequest(null, `The request has two \`${name}\` headers; send one.`);
    seen.add(name);
  }
}

/** @throws ServiceError `invalid_request` if the header is not a host with an optional port */
function hostName(header: string): string {
  const [, name] = /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d{0,5})?$/i.exec(header) ?? [];
  if (name === undefined)
    throw invalidRequest(null, 'The `Host` header is not a host name with an optional port.');
  return name.toLowerCase().replace(/\.$/, '');
}

/**
 * IP addresses and `localhost` always pass. To get answers, a foreign web page needs a name of its own that points to
 * the service's address (DNS rebinding).
 */
function isAllowed(name: string, allowed: readonly string[]): boolean {
  if (name === 'localhost' || name.endsWith('.localhost')) return true;
  if (ipaddr.isValid(name.replace(/^\[(.*)\]$/, '$1'))) return true;
  return allowed.some(
    (host) => host === '*' || host === name || (host.startsWith('*.') && name.endsWith(host.slice(1))),
  );
}

/** Refuses, on every route, requests for hosts that are not allowed or that are named ambiguously. */
export function checkHosts(app: App, { allowedHosts }: Pick<ServerConfig, 'allowedHosts'>): void {
  app.addHook('onRequest', async (request) => {
    requireSingular(request);
    const { headers, httpVersion } = request.raw;
    if (headers.host === undefined && httpVersion !== '1.0') {
      throw invalidRequest(null, 'The request has no `Host` header, which HTTP/1.1 requires.');
    }
    // An absolute URL as the request target overrides the header (RFC 9112, 3.2.2). An empty host names nothing.
    const [, inTarget] = /^[a-z][a-z\d+.-]*:\/\/([^/?#]*)/i.exec(request.originalUrl) ?? [];
    const host = inTarget ?? headers.host;
    if (!host) return;
    const name = hostName(host);
    if (allowedHosts === null || isAllowed(name, allowedHosts)) return;
    throw new ServiceError(
      'host_not_allowed',
      `'${name.slice(0, 100)}' is not an allowed host name; ALTUP_ALLOWED_HOSTS lists the allowed names.`,
    );
  });
  app.addHook('onRoute', (route) => documentErrors(route, 400, 421));
}
