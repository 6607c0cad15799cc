import type { onRequestHookHandler } from 'fastify';
import { ServiceError } from '../errors.ts';
import type { ServerConfig } from './server-dependencies.ts';

/** An address, of IPv6 the half that names the network: the other half is the client's own to choose. */
function addressName(ip: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(ip)?.[1];
  if (mapped !== undefined || !ip.includes(':')) return `address ${mapped ?? ip}`;
  const [head = '', tail] = ip.split('::');
  const groups = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - last.length;
  const whole = [...groups, ...Array<string>(missing).fill('0'), ...last];
  return `address ${whole.slice(0, 4).join(':')}::/64`;
}

/** Finds out whose a request is: by its API key where keys are set, else by its address. Refuses it without a known key. */
export function nameClient({ apiKeys }: Pick<ServerConfig, 'apiKeys'>): onRequestHookHandler {
  return (request, reply, done) => {
    if (apiKeys.isOpen) {
      request.context.client = addressName(request.ip);
      done();
      return;
    }
    const key = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1];
    const name = apiKeys.nameOf(key ?? '');
    if (key !== undefined && name !== null) {
      request.context.client = name;
      done();
      return;
    }
    reply.header('www-authenticate', 'Bearer');
    const message =
      key === undefined
        ? 'An API key is needed: send the header Authorization: Bearer <key>.'
        : 'This API key is not known.';
    done(new ServiceError('unauthorized', message));
  };
}
