import { randomBytes } from 'node:crypto';
import { type Attack, atOnce, goodModels } from './attack.ts';
import type { Outcome } from './attacker.ts';

const { encoderDecoder, decoder } = goodModels;
const mebibyte = 2 ** 20;
/** Leaves room for the other fields of a body. */
const almostTheLimit = mebibyte - 1000;

const json = { 'content-type': 'application/json' };
/** Nonsense requests: each has a path, a body and headers. */
const nonsense: readonly ((unique: number) => [path: string, body: string | Buffer, headers?: object])[] = [
  () => ['/v1/completions', '['.repeat(almostTheLimit)],
  () => ['/v1/completions', `{"model":"${encoderDecoder}","prompt":${'['.repeat(5000)}${']'.repeat(5000)}}`],
  () => ['/v1/completions', '{"__proto__":{"prompt":"a"}}'],
  () => ['/v1/completions', Buffer.from('{"prompt":"\xff\xfe"}', 'latin1')],
  () => ['/v1/completions', '{"prompt":"a"}', { 'content-encoding': 'gzip' }],
  () => ['/v1/completions', randomBytes(100_000)],
  () => ['/v1/completions', `{"prompt":"a","logit_bias":{${biases(60_000)}}}`],
  () => ['/v1/completions', JSON.stringify({ prompt: 'a', stop: Array(20_000).fill('b') })],
  (i) => [`/v1/models/${'m'.repeat(8000)}${i}`, ''],
  (i) => ['/v1/completions', '{}', { 'x-much': 'a'.repeat(15_000) + i }],
  () => ['/v1/completions', `{${Array.from({ length: 60_000 }, (_, i) => `"k${i}":0`).join()}}`],
  () => ['/detokenize', JSON.stringify({ model: encoderDecoder, tokens: Array(150_000).fill(300) })],
  () => ['/v1/completions', JSON.stringify({ model: encoderDecoder, prompt: Array(100_000).fill('a') })],
  () => ['/v1/completions', JSON.stringify({ model: encoderDecoder, prompt: Array(300_000).fill(300) })],
  () => [
    '/v1/completions',
    JSON.stringify({ model: encoderDecoder, prompt: Array(120_000).fill([5]), n: 128 }),
  ],
  () => ['/v1/completions', `{"model":"${'m'.repeat(almostTheLimit)}","prompt":"a"}`],
  () => ['/v1/completions', `{"prompt":"a","${'x'.repeat(almostTheLimit)}":1}`],
  () => [
    '/v1/chat/completions',
    `{"model":"${decoder}","messages":[{"role":"user","content":"a"}],"max_tokens":1,"chat_template_kwargs":{${biases(60_000)}}}`,
  ],
  () => [
    '/v1/chat/completions',
    JSON.stringify({
      model: decoder,
      messages: [{ role: 'user', content: Array(25_000).fill({ type: 'text', text: 'a' }) }],
    }),
  ],
];

const biases = (count: number) => Array.from({ length: count }, (_, i) => `"${i}":1`).join();

export const requestAttacks: readonly Attack[] = [
  {
    name: 'tenants: n = 128 again and again',
    outcomes: ['200', '429', '503'],
    attackers: 3,
    withinMs: 60_000,
    strike: (attacker) =>
      attacker.ask('/v1/completions', {
        model: encoderDecoder,
        prompt: `Emma ${attacker.unique()}`,
        n: 128,
        max_tokens: 24,
        ignore_eos: true,
      }),
  },
  {
    name: 'tenants: 100 guessed keys at a time',
    outcomes: ['401', '429'],
    attackers: 1,
    strike: (attacker) =>
      atOnce(100, () =>
        attacker.ask(
          '/v1/completions',
          { prompt: 'a' },
          {
            headers: { authorization: `Bearer ${randomBytes(16).toString('hex')}` },
          },
        ),
      ),
  },
  {
    name: 'requests: nonsense of all kinds',
    outcomes: ['400', '404', '405', '413', '415', '429', '431', '200'],
    attackers: 2,
    strike: async (attacker) => {
      const ended: Outcome[] = [];
      for (const kind of nonsense) {
        const [path, body, headers] = kind(attacker.unique());
        const method = body === '' ? 'GET' : 'POST';
        ended.push(await attacker.ask(path, body, { method, headers: { ...json, ...headers } }));
      }
      return ended;
    },
  },
];

/** Attacks on a service on a loopback address without keys. */
export const keylessAttacks: readonly Attack[] = [
  {
    name: 'tenants: DNS rebinding, what a page of another site makes a browser send',
    outcomes: ['400', '403', '404', '421'],
    attackers: 2,
    strike: (attacker) =>
      atOnce(2, (i) =>
        attacker.ask(
          ['/v1/completions', '/tokenize'][i]!,
          { model: encoderDecoder, prompt: 'a' },
          { headers: { host: 'evil.example' } },
        ),
      ),
  },
  {
    name: 'requests: 100 refused at a time, each a line of the log',
    outcomes: ['400'],
    attackers: 1,
    strike: (attacker) => atOnce(100, () => attacker.ask('/v1/completions', '{')),
  },
];
