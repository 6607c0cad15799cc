import { type Attack, atOnce, goodModels } from './attack.ts';

const { encoderDecoder, decoder } = goodModels;
/** Leaves room for the other fields of a body. */
const almostTheLimit = 2 ** 20 - 1000;
const sentence = 'It is a truth universally acknowledged, that a single man must be in want of a wife. ';
const megabyte = sentence.repeat(Math.floor(1_000_000 / sentence.length));
const prompt = (length: number, first: number) => Array.from({ length }, (_, i) => 300 + ((first + i) % 900));

/** A text of `characters` characters that no earlier text equals. */
function words(unique: number, characters: number): string {
  const some = `the ${unique}th long walk to the house of her friend was in vain, and ${unique} more came; `;
  return some.repeat(Math.ceil(characters / some.length)).slice(0, characters);
}

/** Requests that take tokenizers, chat templates and the writing of answers a long time. */
export const textAttacks: readonly Attack[] = [
  {
    name: 'texts: 1 MB to /tokenize by eight clients that leave',
    outcomes: ['left', '429', '503'],
    attackers: 2,
    strike: (attacker) =>
      atOnce(4, () => {
        const body = { model: encoderDecoder, prompt: words(attacker.unique(), almostTheLimit) };
        return attacker.ask('/tokenize', body, { leaveAfterMs: 150 });
      }),
  },
  {
    name: 'texts: 1 MB to /tokenize and as prompts by clients that wait',
    outcomes: ['200', '400', '429', '503'],
    attackers: 2,
    withinMs: 30_000,
    strike: (attacker) =>
      atOnce(2, (i) => {
        const prompt = words(attacker.unique(), almostTheLimit);
        return attacker.ask(i === 0 ? '/tokenize' : '/v1/completions', { model: encoderDecoder, prompt });
      }),
  },
  {
    name: 'texts: a chat of 28,000 messages',
    outcomes: ['400', '429', '503'],
    attackers: 3,
    withinMs: 20_000,
    strike: (attacker) => {
      const content = `a${attacker.unique()}`;
      const messages = Array.from({ length: 28_000 }, () => ({ role: 'user', content }));
      return attacker.ask('/v1/chat/completions', {
        model: decoder,
        messages: messages.slice(0, almostTheLimit / JSON.stringify(messages[0]).length - 10),
        max_tokens: 1,
      });
    },
  },
  {
    name: 'answers: log probabilities of 16 long prompts',
    outcomes: ['200', '429', '503'],
    attackers: 2,
    withinMs: 30_000,
    strike: (attacker) => {
      const unique = attacker.unique();
      return attacker.ask('/v1/completions', {
        model: decoder,
        prompt: Array.from({ length: 16 }, () => words(unique, 1200)),
        ...(unique % 2 === 0
          ? { max_tokens: 1, prompt_logprobs: 20 }
          : { max_tokens: 0, echo: true, logprobs: 5 }),
      });
    },
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
      ];
      return atOnce(kinds.length, (i) => attacker.ask(...kinds[i]!));
    },
  },
];
