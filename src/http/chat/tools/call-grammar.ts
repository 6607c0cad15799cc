import type { GrammarSource } from '../../../sampling/grammar.ts';
import { invalidRequest } from '../../errors/invalid-request.ts';
import { SchemaError } from '../../generation/closed-schema.ts';
import { cannotBeCompiled, type WantedFormat } from '../../generation/read-grammar.ts';
import { type AnswerForm, asWritten, inLark, jsonInLark } from './answer-form.ts';
import { escapedArguments } from './escaped-arguments.ts';
import type { Callable, ToolUse } from './read-tools.ts';

/**
 * The grammar of answers that use tools. The first lines are the functions', then the format's, by which `placeOfFault`
 * finds the one at fault.
 */
export function callGrammar(
  { callable, mustCall, isParallel, format }: ToolUse,
  form: AnswerForm,
): GrammarSource {
  const text = (part: string) => inLark(part, form);
  const { trigger } = form;
  const entries = callable.map(({ name }, i) => `(${text(name + form.middle)} args_${i})`).join(' | ');
  const { between } = form;
  const more = isParallel && between !== null ? `(${text(between)} call)*` : '';
  const rest = form.open.slice(trigger.length);
  const rules = callable.map(argumentsRules(form));
  const lines = [
    ...rules.map(([rule]) => rule),
    ...(format ? [formatRule(format)] : []),
    ...rules.flatMap(([, ...others]) => others),
    `call: ${entries}`,
    `calls: ${rest === '' ? '' : text(rest)} call ${more} ${text(form.close)}`,
  ];
  if (mustCall || format) {
    const start = `start: ${mustCall ? '' : 'format | '}${text(trigger)} calls`;
    return { lark: [...lines, start].join('\n') };
  }
  const { isAtStart } = form;
  const lark = [...lines, ...freeStart(form)].join('\n');
  return { lark, trigger: asWritten(trigger, form), ...(isAtStart ? { isAtStart } : {}) };
}

/** The rules of an answer whose text is free until a call begins. */
function freeStart(form: AnswerForm): string[] {
  const { trigger, isAtStart, specials } = form;
  const begins = inLark(trigger, form);
  if (specials.some(({ letter }) => letter === trigger))
    return [`start: TEXT? | TEXT? ${begins} calls`, 'TEXT: /(.|\\n)+/'];
  const pattern = trigger.replace(/[^\w\s<>\u0080-\uffff]/g, '\\$&').replaceAll('\n', '\\n');
  if (isAtStart) return [`start: TEXT? | ${begins} calls`, `TEXT: /(.|\\n)+/ & ~/${pattern}(.|\\n)*/`];
  return [
    'start: TEXT? | opening calls',
    `opening[lazy]: /(.|\\n)*${pattern}/`,
    `TEXT: /(.|\\n)+/ & ~/(.|\\n)*${pattern}(.|\\n)*/`,
  ];
}

const formatRule = ({ source: { json, isStrict } }: WantedFormat): string =>
  `format: ${jsonInLark(JSON.parse(json), isStrict ?? false)}`;

/** The rule `args_<i>` for a function's arguments, and those that it needs. */
const argumentsRules =
  (form: AnswerForm) =>
  ({ parameters, isStrict, place }: Callable, i: number): string[] => {
    if (form.style === 'json') return [`args_${i}: ${jsonInLark(parameters, isStrict, form.separators)}`];
    try {
      return escapedArguments(`args_${i}`, parameters, isStrict, form);
    } catch (error) {
      if (!(error instanceof SchemaError)) throw error;
      throw invalidRequest('tools', cannotBeCompiled(place, error));
    }
  };

/** The part of the request that an error of the grammar's compiler is about. */
export function placeOfFault(message: string, { callable, format }: ToolUse): string {
  const line = Number(/^(?:at )?(\d+)\(\d+\)/.exec(message)?.[1] ?? 0);
  if (format && line === callable.length + 1) return format.param;
  return callable[line - 1]?.place ?? 'tools';
}
