import { describe, expect, it } from 'vitest';
import type { GenerationRequest } from '../../src/engine/protocol/generation.ts';
import { Scheduler } from '../../src/engine/scheduler/scheduler.ts';
import { forgetMs } from '../../src/engine/scheduler/waiting-queue.ts';
import { generationRequest, type RequestOverrides } from '../support/generation-request.ts';

const stepMs = 10;
const chunk = 64;
/** The request that the small tenant repeats: one chunk, then seven steps. */
const small = { promptTokens: Array.from({ length: 10 }, (_, i) => i), maxTokens: 8 };

interface Load {
  slots: number;
  encoderCapacity: number;
  /** Age of the backlog when the small tenant arrives. */
  ageMs: number;
  backlog: RequestOverrides & Pick<GenerationRequest, 'promptTokens'>;
  /** Time between an answer and the next small request. */
  pauseMs: number;
}

/** A scheduler with a tenant of 128 sequences, and a clock that advances with each step. */
class TwoTenants {
  readonly #scheduler: Scheduler;
  readonly #left = new Map<string, number>();
  #steps = 0;

  constructor({ slots, encoderCapacity, backlog }: Load) {
    this.#scheduler = new Scheduler({
      slots: slots + 1,
      spareSlots: 1,
      capacity: 4096,
      encoderCapacity,
      stepTokens: 2 * chunk,
      prefillChunk: chunk,
      hasEqualRows: false,
    });
    for (let i = 0; i < 128; i++) {
      // All prompts begin differently, so none reuses another's cache.
      const promptTokens = [1000 + i, ...backlog.promptTokens];
      this.add({ ...backlog, promptTokens, id: `backlog ${i}`, client: 'large' });
    }
  }

  get now(): number {
    return this.#steps * stepMs;
  }

  add(overrides: RequestOverrides): void {
    const request = generationRequest({ ...overrides, arrivedAt: this.now });
    this.#left.set(request.id, request.maxTokens);
    this.#scheduler.add(request);
  }

  isOpen(id: string): boolean {
    return this.#left.has(id);
  }

  hasBegun(id: string, { maxTokens }: { maxTokens: number }): boolean {
    return this.#left.get(id) !== maxTokens;
  }

  step(): void {
    const { rows, chunks } = this.#scheduler.next(this.now);
    for (const id of [...rows, ...chunks.filter(({ isLast }) => isLast)].map((each) => each.id)) {
      const left = this.#left.get(id)! - 1;
      this.#left.set(id, left);
      if (left > 0) continue;
      this.#left.delete(id);
      this.#scheduler.release(id);
    }
    this.#steps += 1;
  }

  run(isDone: () => boolean): void {
    while (!isDone()) {
      if (this.#steps > 1_000_000) throw new Error('it never comes to that');
      this.step();
    }
  }
}

/** Steps from each of the small tenant's requests to its first token. */
function smallWaits(load: Load): number[] {
  const tenants = new TwoTenants(load);
  tenants.run(() => tenants.now >= load.ageMs);
  return Array.from({ length: 30 }, (_, i) => {
    const id = `small ${i}`;
    const [addedAt, pauseEnds] = [tenants.now, tenants.now + load.pauseMs];
    tenants.add({ ...small, id, client: 'small' });
    tenants.run(() => tenants.hasBegun(id, small));
    const waited = (tenants.now - addedAt) / stepMs;
    tenants.run(() => !tenants.isOpen(id));
    tenants.run(() => tenants.now >= pauseEnds);
    expect(tenants.isOpen('backlog 127'), 'the backlog is there all the time').toBe(true);
    return waited;
  });
}

const long = Array.from({ length: 3900 }, (_, i) => i);
const base = { slots: 2, encoderCapacity: 0, ageMs: 0, pauseMs: 0 };

describe.each([
  ['decoder-only', 0],
  ['encoder-decoder', 4096],
])('beside 128 sequences of another tenant, %s', (_, encoderCapacity) => {
  const ages = [0, 9_000, 11_000, 60_000];
  const few = { promptTokens: [1, 2], maxTokens: 2000 };
  const loads: [string, Omit<Load, 'encoderCapacity' | 'ageMs'>][] = [
    ['1 slot, long answers', { ...base, slots: 1, backlog: few }],
    ['2 slots, long answers', { ...base, backlog: few }],
    ['16 slots, long answers', { ...base, slots: 16, backlog: few }],
    ['2 slots, urgent', { ...base, backlog: { ...few, priority: -1000 } }],
    ['4 slots, long prompts', { ...base, slots: 4, backlog: { promptTokens: long, maxTokens: 300 } }],
    ['2 slots, now and then', { ...base, backlog: few, pauseMs: 2 * forgetMs }],
  ];

  it.each(ages.flatMap((ageMs) => loads.map(([name, load]) => ({ name, ...load, ageMs }))))(
    'small requests wait for no more than a chunk: $name, $ageMs ms old',
    ({ name: _name, ...load }) => {
      const waits = smallWaits({ ...load, encoderCapacity });
      // The step that computes the other tenant's chunk or prompt, and the step of the own first token.
      expect(Math.max(...waits)).toBeLessThanOrEqual(encoderCapacity > 0 ? 3 : 2);
    },
  );
});
