import type { CallForm } from '../../../catalog/tokenizer/tool-template.ts';
import type { Vocabulary } from '../../../catalog/tokenizer/vocabulary.ts';
import type { GrammarSource } from '../../../sampling/grammar.ts';
import { invalidRequest } from '../../errors/invalid-request.ts';
import { SchemaError } from '../../generation/closed-schema.ts';
import { cannotBeCompiled } from '../../generation/read-grammar.ts';
import { quote } from './arguments-reader.ts';
import { escapedArguments } from './escaped-arguments.ts';
import type { Callable, ToolUse } from './read-tools.ts';

type Tokens = Pick<Vocabulary, 'data' | 'tokenBytes' | 'isSpecial'>;

const specialTexts = new WeakMap<object, ReadonlySet<string>>();

/** The special tokens of a vocabulary, as written. */
function specialsOf(tokens: Tokens): ReadonlySet<string> {
  let texts = specialTexts.get(tokens.data);
  if (texts === undefined) {
    const ids = [...tokens.data.special.keys()].filter((id) => tokens.isSpecial(id));
    texts = new Set(ids.map((id) => Buffer.from(tokens.tokenBytes(id)).toString()));
    specialTexts.set(tokens.data, texts);
  }
  return texts;
}

/** The text that begins a call: a tag, or a word. Free text never contains it. */
export const triggerOf = ({ open }: CallForm): string => /^(?:<[^<>\s]+>|\S+)/.exec(open)![0];

/** Whether a form has special tokens, which the text of an answer usually leaves out. */
export function hasSpecialTokens({ open, middle, between, close, style }: CallForm, tokens: Tokens): boolean {
  const parts = [open, middle, between ?? '', close, style === 'escaped' ? quote : ''];
  return parts.some((part) => part.match(tag)?.some((text) => specialsOf(tokens).has(text)));
}

const tag = /<[^<>\s]+>/g;

/** A text as an expression of Lark: special tokens by their names, and the rest in quotes. */
function literal(text: string, tokens: Tokens): string {
  const specials = specialsOf(tokens);
  const parts = text.split(/(<[^<>\s]+>)/).filter((part) => part !== '');
  return parts.map((part) => (specials.has(part) ? part : JSON.stringify(part))).join(' ') || '""';
}

/** The grammar of answers that use tools. Each function has a line, by which `placeOfFault` finds the one at fault. */
export function callGrammar(
  { callable, mustCall, isParallel }: ToolUse,
  form: CallForm,
  tokens: Tokens,
): GrammarSource {
  const text = (part: string) => literal(part, tokens);
  const trigger = triggerOf(form);
  const isTriggerSpecial = specialsOf(tokens).has(trigger);
  const entries = callable.map(({ name }, i) => `(${text(name + form.middle)} args_${i})`).join(' | ');
  const { between } = form;
  const more = isParallel && between !== null ? `(${text(between)} call)*` : '';
  const rest = form.open.slice(trigger.length);
  const rules = callable.map(argumentsRules(form, tokens));
  const lines = [
    ...rules.map(([rule]) => rule),
    ...rules.flatMap(([, ...others]) => others),
    `call: ${entries}`,
    `calls: ${rest === '' ? '' : text(rest)} call ${more} ${text(form.close)}`,
  ];
  if (mustCall) return { lark: [...lines, `start: ${text(trigger)} calls`].join('\n') };
  const pattern = trigger.replace(/[^\w<>\u0080-\uffff]/g, '\\$&');
  const free = isTriggerSpecial
    ? [`start: TEXT? | TEXT? ${trigger} calls`, 'TEXT: /(.|\\n)+/']
    : [
        'start: TEXT? | opening calls',
        `opening[lazy]: /(.|\\n)*${pattern}/`,
        `TEXT: /(.|\\n)+/ & ~/(.|\\n)*${pattern}(.|\\n)*/`,
      ];
  return { lark: [...lines, ...free].join('\n'), trigger };
}

/** The rule `args_<i>` for a function's arguments, and those that it needs. */
const argumentsRules =
  ({ style, separators: { item, key } }: CallForm, tokens: Tokens) =>
  ({ parameters, place }: Callable, i: number): string[] => {
    if (style === 'escaped') {
      try {
        return escapedArguments(`args_${i}`, parameters, (part) => literal(part, tokens));
      } catch (error) {
        if (!(error instanceof SchemaError)) throw error;
        throw invalidRequest('tools', cannotBeCompiled(place, error));
      }
    }
    // No free whitespace: a model could fill its whole output with it.
    const form = { whitespace_flexible: false, item_separator: item, key_separator: key };
    return [`args_${i}: %json ${JSON.stringify({ ...parameters, 'x-guidance': form })}`];
  };

/** The part of the request that an error of the grammar's compiler is about. */
export function placeOfFault(message: string, { callable }: ToolUse): string {
  const line = /^(?:at )?(\d+)\(\d+\)/.exec(message)?.[1];
  const tool = line === undefined ? undefined : callable[Number(line) - 1];
  return tool?.place ?? 'tools';
}
