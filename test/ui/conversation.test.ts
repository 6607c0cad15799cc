import { describe, expect, it } from 'vitest';
import { Conversation, contextLine } from '../../src/ui/chat/conversation.js';
import { History } from '../../src/ui/chat/history.js';

const turn = (prompt: string, answer: string, kind: 'chat' | 'text' = 'chat') => ({
  kind,
  prompt,
  answer,
  model: 'm',
  figures: '',
});

describe('a conversation', () => {
  it('sends what was said and answered, but no continued texts and no prompts without an answer', () => {
    const turns = [turn('One?', '1'), turn('It is', ' so', 'text'), turn('Two?', ''), turn('Three?', '3')];
    expect(new Conversation({ id: 'c', turns }).messagesTo('Four?')).toEqual([
      { role: 'user', content: 'One?' },
      { role: 'assistant', content: '1' },
      { role: 'user', content: 'Three?' },
      { role: 'assistant', content: '3' },
      { role: 'user', content: 'Four?' },
    ]);
  });

  it('is called by the beginning of its first line', () => {
    expect(Conversation.titleOf({ id: 'c', turns: [turn('\nWho is Emma?\nTell me.', '')] })).toBe(
      'Who is Emma?',
    );
    expect(Conversation.titleOf({ id: 'c', turns: [turn('x'.repeat(99), '')] })).toBe(`${'x'.repeat(59)}…`);
  });

  it.each([
    [null, null, ''],
    [null, { max_model_len: 2048 }, 'Context: 2,048 tokens'],
    [{ prompt_tokens: 900, completion_tokens: 124 }, null, 'Context: 1,024 tokens used'],
    [
      { prompt_tokens: 900, completion_tokens: 124 },
      { max_model_len: 2048 },
      'Context: 1,024 of 2,048 tokens used, 1,024 left',
    ],
    [
      { prompt_tokens: 10, completion_tokens: 9 },
      { max_model_len: 16 },
      'Context: 19 of 16 tokens used, 0 left',
    ],
  ])('with the usage %j of a model %j: %s', (usage, model, line) =>
    expect(contextLine(usage, model)).toBe(line),
  );
});

describe('the history', () => {
  const storage = (room = Number.POSITIVE_INFINITY) => {
    const items = new Map<string, string>();
    return {
      items,
      getItem: (key: string) => items.get(key) ?? null,
      removeItem: (key: string) => void items.delete(key),
      setItem(key: string, value: string) {
        if (value.length > room) throw new Error('full');
        items.set(key, value);
      },
    };
  };
  const said = (id: string) => ({ id, turns: [turn(`Who is ${id}?`, 'Nobody.')] });

  it('keeps nothing until it is turned on, and nothing after', () => {
    const kept = storage();
    const history = new History(kept);
    expect(history.keep(said('Emma'))).toBe(true);
    expect([history.isOn, kept.items.size]).toEqual([false, 0]);
    history.turnOn();
    history.keep(said('Emma'));
    history.keep(said('Jane'));
    expect(new History(kept).all).toEqual([said('Jane'), said('Emma')]);
    history.turnOff();
    expect(kept.items.size).toBe(0);
  });

  it('has each conversation once, as it was last, and forgets empty ones', () => {
    const history = new History(storage());
    history.turnOn();
    for (const id of ['Emma', 'Jane', 'Emma']) history.keep(said(id));
    expect(history.all.map(({ id }) => id)).toEqual(['Emma', 'Jane']);
    history.keep({ id: 'Emma', turns: [] });
    expect(history.all.map(({ id }) => id)).toEqual(['Jane']);
  });

  it('keeps the newest fifty, and says when there is no room', () => {
    const history = new History(storage());
    history.turnOn();
    for (let i = 0; i < 60; i++) history.keep(said(String(i)));
    expect(history.all.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, i) => String(59 - i)));
    const narrow = new History(storage(100));
    narrow.turnOn();
    expect(narrow.keep(said('x'.repeat(200)))).toBe(false);
  });

  it.each(['no JSON', '{}', '[{"id": 1}]', '[{"id": "a", "turns": [{"kind": "x"}]}]', '[null]'])(
    'reads nothing from %s',
    (text) => {
      const kept = storage();
      kept.items.set('altup-serve chats', text);
      expect(new History(kept).all).toEqual([]);
    },
  );
});
