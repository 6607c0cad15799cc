import { describe, expect, it } from 'vitest';
import type { CallForm } from '../../../src/catalog/tokenizer/tool-template.ts';
import { type AnswerForm, answerForm } from '../../../src/http/chat/tools/answer-form.ts';
import { type CallPiece, CallReader } from '../../../src/http/chat/tools/call-reader.ts';
import { agreedForm } from '../../../src/http/chat/tools/render-tools.ts';
import { fakeTokenizer } from '../../support/fake-tokenizer.ts';

const escaped: CallForm = {
  open: '<start_function_call>call:',
  middle: '{',
  between: '}<end_function_call><start_function_call>call:',
  close: '}<end_function_call>',
  style: 'escaped',
  separators: { item: ',', key: ':' },
};

const anywhere = { isAtStart: false, showsSpecials: false };
const agreed = answerForm(agreedForm, fakeTokenizer(), anywhere);
const bare = answerForm({ ...agreedForm, open: '{"name": "', close: '};' }, fakeTokenizer(), anywhere);
const withSpecials = fakeTokenizer(['<escape>', '</s>', '<start_function_call>']);
const special = answerForm(escaped, withSpecials, anywhere);
/** A text with the letters of a form for its special tokens. */
const lettered = (text: string) =>
  special.specials.reduce((all, { written, letter }) => all.replaceAll(written, letter), text);

interface Read {
  text: string;
  calls: [name: string, json: string][];
  endsWithCall: boolean;
}

/** Reads pieces of a text, joined as clients do. */
function read(form: AnswerForm, pieces: readonly string[]): Read {
  const reader = new CallReader(form);
  const all: CallPiece[] = [...pieces.flatMap((piece) => reader.add(piece)), ...reader.end()];
  const found: Read = { text: '', calls: [], endsWithCall: reader.endsWithCall };
  for (const piece of all) {
    if (piece.type === 'text') found.text += piece.text;
    else if (piece.type === 'call') {
      expect(piece.index).toBe(found.calls.length);
      expect(piece.id).toMatch(/^call_[A-Za-z0-9]{24}$/);
      found.calls.push([piece.name, '']);
    } else found.calls[piece.index]![1] += piece.text;
  }
  return found;
}

const args = '{"city": "B\\"}{\\\\", "at": {"x": [1, {}]}}';
const two = `Let me see.\n<tool_call>{"name": "a", "arguments": ${args}}</tool_call>\n<tool_call>{"name": "b_2", "arguments": {}}</tool_call>`;
const escapedTwo =
  '<start_function_call>call:a{city:<escape>B"}<b,:\n<escape>,at:{x:[1,{},<escape><escape>],y:null}}<end_function_call>' +
  '<start_function_call>call:b{}<end_function_call>';

describe('an answer with calls', () => {
  it.each<[string, AnswerForm, string, Read]>([
    [
      'text and two calls',
      agreed,
      two,
      {
        text: 'Let me see.',
        calls: [
          ['a', args],
          ['b_2', '{}'],
        ],
        endsWithCall: true,
      },
    ],
    ['text alone', agreed, 'a < b <tool_', { text: 'a < b <tool_', calls: [], endsWithCall: false }],
    ['spaces at the end', agreed, 'a \n ', { text: 'a \n ', calls: [], endsWithCall: false }],
    [
      'one cut in its name',
      agreed,
      'a <tool_call>{"name": "a',
      { text: 'a', calls: [], endsWithCall: false },
    ],
    [
      'one cut in its arguments',
      agreed,
      two.slice(0, 60),
      { text: 'Let me see.', calls: [['a', args.slice(0, 60 - two.indexOf(args))]], endsWithCall: false },
    ],
    [
      'escaped calls',
      answerForm(escaped, fakeTokenizer(), anywhere),
      escapedTwo,
      {
        text: '',
        calls: [
          ['a', '{"city":"B\\"}<b,:\\n","at":{"x":[1,{},""],"y":null}}'],
          ['b', '{}'],
        ],
        endsWithCall: true,
      },
    ],
    ...[two, '<tool', ''].map((text): [string, AnswerForm, string, Read] => [
      'calls only at the start, but text there',
      { ...agreed, isAtStart: true },
      text,
      { text, calls: [], endsWithCall: false },
    ]),
    [
      'calls only at the start',
      { ...agreed, isAtStart: true },
      `<tool_call>{"name": "a", "arguments": {}}</tool_call>`,
      { text: '', calls: [['a', '{}']], endsWithCall: true },
    ],
    ...['{"a": 1}', '{"name"', '{"nam": "', 'So: {"name": "a"'].map(
      (text): [string, AnswerForm, string, Read] => [
        'text with the beginning of a bare call',
        bare,
        text,
        { text, calls: [], endsWithCall: false },
      ],
    ),
    [
      'a bare call',
      bare,
      `{"name": "a", "arguments": ${args}};`,
      { text: '', calls: [['a', args]], endsWithCall: true },
    ],
    [
      'special tokens in calls and in text',
      special,
      `<start_function_call>${lettered(`<escape> So ${escapedTwo}`).replace('<b', '<escape>')}`,
      {
        text: '<start_function_call> So',
        calls: [
          ['a', '{"city":"B\\"}<escape>,:\\n","at":{"x":[1,{},""],"y":null}}'],
          ['b', '{}'],
        ],
        endsWithCall: true,
      },
    ],
  ])('is read in whatever pieces it comes: %s', (_, form, text, expected) => {
    expect(read(form, [text])).toEqual(expected);
    expect(read(form, [...text])).toEqual(expected);
    for (let at = 1; at < text.length; at++) {
      expect(read(form, [text.slice(0, at), text.slice(at)]), `${at}`).toEqual(expected);
    }
  });

  it('gives each call an id of its own, and its arguments as they come', () => {
    const reader = new CallReader(agreed);
    expect(reader.add('Yes. <tool_call>{"name": "a", "arguments": {"x')).toEqual([
      { type: 'text', text: 'Yes.' },
      { type: 'call', index: 0, id: expect.any(String), name: 'a' },
      { type: 'arguments', index: 0, text: '{"x' },
    ]);
    expect(reader.add('": 1')).toEqual([{ type: 'arguments', index: 0, text: '": 1' }]);
    const ids = Array.from({ length: 100 }, () => new CallReader(agreed).add(two))
      .flat()
      .flatMap((piece) => (piece.type === 'call' ? [piece.id] : []));
    expect(new Set(ids).size).toBe(200);
  });

  it('shows special tokens in its text if the client wants them', () => {
    const text = lettered('a <escape>');
    expect(read(special, [text]).text).toBe('a ');
    expect(read(answerForm(escaped, withSpecials, { ...anywhere, showsSpecials: true }), [text]).text).toBe(
      'a <escape>',
    );
  });
});
