import { expect, it } from 'vitest';
import {
  withoutEffect,
  withoutEffectInCalls,
  withoutEffectInChat,
  withoutEffectInCompletions,
  withoutEffectInFunctions,
  withoutEffectInItemParts,
  withoutEffectInItems,
  withoutEffectInMessages,
  withoutEffectInParts,
  withoutEffectInReasoning,
  withoutEffectInResponses,
  withoutEffectInStreamOptions,
  withoutEffectInStructuredOutputs,
  withoutEffectInText,
  withoutEffectInTools,
} from '../../src/http/generation/fields-without-effect.ts';
import { readDoc, tableRows } from '../support/markdown-table.ts';

/** A value of the tables at run time: a JSON Schema with our own keywords. */
interface Field {
  'x-unsupported'?: string;
  'x-accepted'?: string;
  'x-unused'?: string;
}

const rowsOf = (place: string, table: object, without: object = {}) =>
  Object.entries(table as Record<string, Field>)
    .filter(([name]) => !(name in without))
    .map(([name, field]) => [
      `\`${name}\``,
      place,
      field['x-unused'] ? 'anything' : field['x-accepted'] || '`null`',
      field['x-unused'] ?? field['x-unsupported'],
    ]);

it('docs/api.md has every field without effect, with the values that are taken, and no other', () => {
  const rows = [
    ...rowsOf('requests', withoutEffect),
    ...rowsOf('completions', withoutEffectInCompletions, withoutEffect),
    ...rowsOf('chats', withoutEffectInChat, withoutEffect),
    ...rowsOf('responses', withoutEffectInResponses, withoutEffect),
    ...rowsOf('`messages`', withoutEffectInMessages),
    ...rowsOf('`tools`', withoutEffectInTools),
    ...rowsOf('`tool_calls`', withoutEffectInCalls),
    ...rowsOf('parts of messages', withoutEffectInParts),
    ...rowsOf('items of `input`', withoutEffectInItems),
    ...rowsOf('parts of items', withoutEffectInItemParts),
    ...rowsOf('`tools` of responses', withoutEffectInFunctions),
    ...rowsOf('`text`', withoutEffectInText),
    ...rowsOf('`reasoning`', withoutEffectInReasoning),
    ...rowsOf('`stream_options`', withoutEffectInStreamOptions),
    ...rowsOf('`structured_outputs`', withoutEffectInStructuredOutputs),
  ];
  const header = ['field', 'of', 'taken', 'because'];
  const written = tableRows(readDoc('api.md'), header);
  expect(written, rows.map((row) => `| ${row.join(' | ')} |`).join('\n')).toEqual(rows);
});
