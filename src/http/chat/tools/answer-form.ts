import type { CallForm } from '../../../catalog/tokenizer/tool-template.ts';
import type { Vocabulary } from '../../../catalog/tokenizer/vocabulary.ts';

type Tokens = Pick<Vocabulary, 'data' | 'tokenBytes' | 'isSpecial'>;

/** A special token of a form. */
interface FormToken {
  id: number;
  written: string;
  /** What stands for it in the answer's text. */
  letter: string;
}

/** How a model's answers have calls. In every part, letters that no other token can write stand for special tokens. */
export interface AnswerForm extends CallForm {
  /** The text that begins a call. Free text never contains it; if `isAtStart`, it never begins with it. */
  trigger: string;
  /** In the style `escaped`: what comes before and after a string. */
  quote: string;
  specials: readonly FormToken[];
  /** An answer begins with a call or has none. */
  isAtStart: boolean;
  /** The client wants special tokens in its text. */
  showsSpecials: boolean;
}

/** FunctionGemma's token before and after a string. */
export const escapeTag = '<escape>';

/** The letters, as `specialTexts` may have them (engine/protocol/generation.ts). */
const firstLetter = 0xfdd0;
const maxLetters = 32;

/** @param tokens those of the model */
export function answerForm(
  form: CallForm,
  tokens: Tokens,
  { isAtStart, showsSpecials }: Pick<AnswerForm, 'isAtStart' | 'showsSpecials'>,
): AnswerForm {
  const quote = form.style === 'escaped' ? escapeTag : '';
  const parts = [form.open, form.middle, form.between ?? '', form.close, quote];
  const specials = [...specialsOf(tokens)]
    .filter(([written]) => parts.some((part) => part.includes(written)))
    .sort(([a], [b]) => b.length - a.length)
    .slice(0, maxLetters)
    .map(([written, id], index) => ({ id, written, letter: String.fromCharCode(firstLetter + index) }));
  const lettered = (part: string) =>
    specials.reduce((text, { written, letter }) => text.replaceAll(written, letter), part);
  const open = lettered(form.open);
  // A special token or a tag. Free text may have any word or brace, so calls that begin with one only begin answers.
  const mark = /^(?:[\ufdd0-\ufdef]|<[^<>\s]+>|\[[^[\]\s]+\])/.exec(open)?.[0];
  return {
    ...form,
    open,
    middle: lettered(form.middle),
    between: form.between === null ? null : lettered(form.between),
    close: lettered(form.close),
    trigger: mark ?? /^[^\ufdd0-\ufdef]+/.exec(open)![0],
    quote: lettered(quote),
    specials,
    isAtStart: isAtStart || mark === undefined,
    showsSpecials,
  };
}

const specialTokens = new WeakMap<object, ReadonlyMap<string, number>>();

/** The ids of a vocabulary's special tokens, by how they are written. */
function specialsOf(tokens: Tokens): ReadonlyMap<string, number> {
  let all = specialTokens.get(tokens.data);
  if (all === undefined) {
    const ids = [...tokens.data.special.keys()].filter((id) => tokens.isSpecial(id));
    const written = ids.map((id) => [Buffer.from(tokens.tokenBytes(id)).toString(), id] as const);
    all = new Map(written.filter(([text]) => text !== ''));
    specialTokens.set(tokens.data, all);
  }
  return all;
}

/** A text with letters as an expression of Lark: special tokens by their ids, and the rest in quotes. */
export function inLark(text: string, { specials }: AnswerForm): string {
  const parts = text.split(/([\ufdd0-\ufdef])/).filter((part) => part !== '');
  const written = parts.map((part) => {
    const special = specials.find(({ letter }) => letter === part);
    return special ? `<[${special.id}]>` : JSON.stringify(part);
  });
  return written.join(' ') || '""';
}

/** A document under a schema as an expression of Lark. */
export function jsonInLark(
  schema: object,
  isStrict: boolean,
  { item, key }: CallForm['separators'] = { item: ',', key: ':' },
): string {
  const options = {
    // A model could fill its whole output with free whitespace.
    whitespace_flexible: false,
    item_separator: item,
    key_separator: key,
    lenient: !isStrict,
  };
  return `%json ${JSON.stringify({ ...schema, 'x-guidance': options })}`;
}

/** A text with letters as people read it. */
export const asWritten = (text: string, { specials }: AnswerForm): string =>
  specials.reduce((shown, { written, letter }) => shown.replaceAll(letter, written), text);

/** Free text of an answer as the client gets it. */
export const asShown = (text: string, form: AnswerForm): string =>
  form.showsSpecials
    ? asWritten(text, form)
    : form.specials.reduce((shown, { letter }) => shown.replaceAll(letter, ''), text);
