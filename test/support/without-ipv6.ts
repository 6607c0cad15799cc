import { Server } from 'node:net';

// Preloaded with --import. Listening on an IPv6 address then fails, as on a kernel started with ipv6.disable=1.
const listen = Server.prototype.listen as (...args: unknown[]) => Server;
Server.prototype.listen = function (this: Server, ...args: unknown[]): Server {
  const { host } = args[0] as { host?: string };
  if (!host?.includes(':')) return listen.apply(this, args);
  const error = Object.assign(new Error('address family not supported'), { code: 'EAFNOSUPPORT' });
  process.nextTick(() => this.emit('error', error));
  return this;
} as Server['listen'];
