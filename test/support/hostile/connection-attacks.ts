import { setTimeout } from 'node:timers/promises';
import { type Attack, atOnce, goodModels } from './attack.ts';
import type { Attacker, Outcome } from './attacker.ts';

/** Time the service gives a connection to send its headers (docs/configuration.md), and extra time until it notices. */
const headersMs = 10_000;
const lateMs = 4000;

const startOf = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n`;

/** Connections that send these bytes and nothing more. */
const silent: readonly [count: number, bytes: string][] = [
  [200, ''],
  [200, startOf('/v1/completions', 10)],
  [50, '\u0016\u0003\u0001\u0002\u0000'],
];

const stream = {
  model: goodModels.encoderDecoder,
  prompt: 'Emma',
  max_tokens: 300,
  ignore_eos: true,
  stream: true,
};

/** Requests a stream and does not read it for a while. */
async function neverRead(attacker: Attacker): Promise<Outcome> {
  const body = JSON.stringify({ ...stream, seed: attacker.unique() });
  const head = startOf('/v1/completions', body.length) + attacker.authorization;
  const socket = await attacker.connect(`${head}\r\n${body}`);
  socket.pause();
  await setTimeout(1500);
  socket.destroy();
  return 'left';
}

const almostMebibyte = Buffer.alloc(1_000_000, 'a');

/** Sends a large body without its end, and keeps the connection open for a while. */
async function neverFinish(attacker: Attacker): Promise<Outcome> {
  const head = startOf('/v1/completions', almostMebibyte.length + 1) + attacker.authorization;
  const socket = await attacker.connect(`${head}\r\n`);
  let answer = '';
  socket.on('data', (data) => (answer += data));
  socket.write(almostMebibyte);
  await setTimeout(2500);
  socket.destroy();
  return answer === '' ? 'left' : answer.split(' ')[1]!;
}

export const connectionAttacks: readonly Attack[] = [
  {
    name: 'connections: 450 that send nothing, half a request, or TLS',
    outcomes: ['closed'],
    attackers: 1,
    withinMs: headersMs + lateMs,
    strike: async (attacker) => {
      const connections = silent.flatMap(([count, bytes]) => Array<string>(count).fill(bytes));
      return await atOnce(connections.length, async (i) =>
        attacker.closed((await attacker.connect(connections[i]!)).resume()),
      );
    },
  },
  {
    name: 'connections: 400 bodies of 1 MB but for their last byte',
    outcomes: ['left', '429'],
    attackers: 1,
    strike: (attacker) => atOnce(400, () => neverFinish(attacker)),
  },
  {
    name: 'connections: answers never read',
    outcomes: ['left'],
    attackers: 2,
    strike: (attacker) => atOnce(10, () => neverRead(attacker)),
  },
  {
    name: 'connections: streams left by 40 clients',
    outcomes: ['left', '200', '429', '503'],
    attackers: 2,
    strike: (attacker) =>
      atOnce(20, (i) => attacker.ask('/v1/completions', stream, { leaveAfterMs: 20 + 20 * i })),
  },
];
