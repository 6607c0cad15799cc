import { expect, describe as group, it } from 'vitest';
import { baselineOf, describe, firstChoice } from '../../src/ui/models/model-choice.js';

const card = (id: string, variant: string | null, fields: object = {}) => ({
  id,
  state: 'ready' as const,
  precision: id.split(':')[1] ?? 'fp32',
  variant,
  max_model_len: 512,
  max_completion_tokens: 512,
  has_chat_template: false,
  ...fields,
});

const shipped = [
  card('austen-gemma3', 'dense'),
  card('austen-gemma3n', 'altup-k4'),
  card('austen-t5-altup-k2', 'altup-k2'),
  card('austen-t5-altup-k2:int4', 'altup-k2'),
  card('austen-t5-dense', 'dense'),
  card('austen-t5-dense:int4', 'dense'),
  card('austen-t5-dense2x', 'dense'),
  card('austen-t5-recycled-k2', 'recycled-k2'),
];

group('the model to begin with', () => {
  it('has AltUp, and is ready', () => {
    expect(firstChoice(shipped)).toBe('austen-gemma3n');
    const late = shipped.map((each) => ({ ...each, state: 'loading' as const }));
    expect(firstChoice([...late, card('plain', 'dense')])).toBe('plain');
    expect(firstChoice(late)).toBe('austen-gemma3');
    expect(firstChoice([])).toBeNull();
  });
});

group('the model to compare with', () => {
  it.each([
    ['austen-t5-altup-k2', 'austen-t5-dense'],
    ['austen-t5-recycled-k2', 'austen-t5-dense'],
    ['austen-t5-altup-k2:int4', 'austen-t5-dense:int4'],
    ['austen-gemma3n', 'austen-gemma3'],
    ['austen-t5-dense', 'austen-t5-dense2x'],
  ])('of %s is %s', (id, baseline) => expect(baselineOf(shipped, id)).toBe(baseline));

  it('is the same where there is no other that works', () => {
    expect(baselineOf([shipped[2]!, card('bad', 'dense', { state: 'failed' })], 'austen-t5-altup-k2')).toBe(
      'austen-t5-altup-k2',
    );
  });
});

it('tells what there is to know of a model', () => {
  expect(describe(shipped[2]!)).toBe('altup-k2 · fp32 · 512 tokens');
  expect(describe(card('a', 'dense', { max_model_len: 128 }))).toBe(
    'dense · fp32 · prompt 128, completion 512 tokens',
  );
  expect(describe(card('a', null, { state: 'restarting' }))).toBe('Engine is restarting');
});
