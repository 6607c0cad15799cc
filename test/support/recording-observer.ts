import type { EngineObserver } from '../../src/engine/protocol/engine.ts';
import type { EndEvent, GenerationRequest } from '../../src/engine/protocol/generation.ts';
import type { StepReport } from '../../src/engine/protocol/messages.ts';

/** Records the reports of the engine client. */
export class RecordingObserver implements EngineObserver {
  readonly admittedIds: string[] = [];
  readonly rejections: { model: string; reason: string; count: number }[] = [];
  readonly startedIds: string[] = [];
  readonly tokenCounts = new Map<string, number>();
  readonly steps: StepReport[] = [];
  readonly ends: EndEvent[] = [];
  restarts = 0;

  admitted({ id }: GenerationRequest): void {
    this.admittedIds.push(id);
  }

  rejected(model: string, reason: string, count: number): void {
    this.rejections.push({ model, reason, count });
  }

  started({ id }: GenerationRequest): void {
    this.startedIds.push(id);
  }

  token({ id }: GenerationRequest, _at: number, count: number): void {
    this.tokenCounts.set(id, (this.tokenCounts.get(id) ?? 0) + count);
  }

  restarted(): void {
    this.restarts += 1;
  }

  stepped(step: StepReport): void {
    this.steps.push(step);
  }

  ended(_request: GenerationRequest, event: EndEvent): void {
    this.ends.push(event);
  }
}
