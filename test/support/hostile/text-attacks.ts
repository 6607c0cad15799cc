import { type Attack, atOnce, goodModels } from './attack.ts';

const { encoderDecoder, decoder } = goodModels;
const sentence = 'It is a truth universally acknowledged, that a single man must be in want of a wife. ';
const megabyte = sentence.repeat(Math.floor(1_000_000 / sentence.length));
const prompt = (length: number, first: number) => Array.from({ length }, (_, i) => 300 + ((first + i) % 900));

/** What makes tokenizers, chat templates and the writing of answers work long. */
export const textAttacks: readonly Attack[] = [
  {
    name: 'texts: 16 of a megabyte, then gone',
    outcomes: ['left', '200', '429', '500'],
    attackers: 1,
    withinMs: 60_000,
    strike: (attacker) =>
      atOnce(16, () =>
        attacker.ask('/tokenize', { model: encoderDecoder, prompt: megabyte }, { leaveAfterMs: 300 }),
      ),
  },
  {
    name: 'texts: megabytes of answers',
    outcomes: ['200', '400', '429'],
    attackers: 1,
    withinMs: 60_000,
    strike: (attacker) => {
      const unique = attacker.unique();
      const kinds: [string, object][] = [
        ['/tokenize', { model: decoder, prompt: megabyte, return_token_strs: true }],
        ['/detokenize', { model: decoder, tokens: Array(260_000).fill(300) }],
        [
          '/v1/completions',
          { model: decoder, prompt: prompt(400, unique), max_tokens: 0, prompt_logprobs: 20 },
        ],
        [
          '/v1/completions',
          { model: decoder, prompt: prompt(400, unique), max_tokens: 0, echo: true, logprobs: 5 },
        ],
        [
          '/v1/chat/completions',
          { model: decoder, messages: Array(28_000).fill({ role: 'user', content: 'a' }) },
        ],
      ];
      return atOnce(kinds.length, (i) => attacker.ask(...kinds[i]!));
    },
  },
];
