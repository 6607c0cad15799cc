import type { EngineObserver } from '../../src/engine/protocol/engine.ts';
import { type EndEvent, type GenerationEvent, isEnd } from '../../src/engine/protocol/generation.ts';
import type { StepReport } from '../../src/engine/protocol/messages.ts';
import type { SequenceLife } from '../../src/engine/protocol/sequence-life.ts';

/** Records the reports of the engine client. */
export class RecordingObserver implements EngineObserver {
  readonly admittedIds: string[] = [];
  readonly rejections: { model: string; reason: string; count: number }[] = [];
  readonly startedIds: string[] = [];
  readonly tokenCounts = new Map<string, number>();
  readonly steps: StepReport[] = [];
  readonly ends: EndEvent[] = [];
  restarts = 0;

  admitted({ request }: SequenceLife): void {
    this.admittedIds.push(request.id);
  }

  rejected(model: string, reason: string, count: number): void {
    this.rejections.push({ model, reason, count });
  }

  happened({ request: { id }, generatedTokens }: SequenceLife, event: GenerationEvent): void {
    if (event.type === 'started') this.startedIds.push(id);
    if (event.type === 'tokens') this.tokenCounts.set(id, generatedTokens + event.tokens.length);
    if (isEnd(event)) this.ends.push(event);
  }

  restarted(): void {
    this.restarts += 1;
  }

  stepped(step: StepReport): void {
    this.steps.push(step);
  }
}
