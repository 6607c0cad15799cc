import type { FinishReason } from '../../engine/protocol/generation.ts';
import type { ServiceError } from '../../errors.ts';
import type { RequestLife } from '../../observability/request-life.ts';
import type { AnswerForm } from '../chat/tools/answer-form.ts';
import { CallReader } from '../chat/tools/call-reader.ts';
import { errorBody } from '../errors/error-response.ts';
import { type AnswerFormat, answerUsage, type ChoiceDelta, TokenTexts } from '../generation/answer-parts.ts';
import type { GenerationJob } from '../generation/generation-job.ts';
import { Turns, writeInTurns } from '../json/in-turns.ts';
import type { ServerSentEvent } from '../json/server-sent-events.ts';
import { type EventBody, OutputItems } from './output-items.ts';
import type { ResponseEcho, ResponseObject } from './response-object.ts';

/** Seconds since the epoch. */
const seconds = () => Math.floor(Date.now() / 1000);

/** Keeps a finished response, unless it is too large. @returns whether it is kept */
export type KeepResponse = (response: ResponseObject) => Promise<boolean>;

/** OpenAI's responses, whole or as events. */
export class ResponseFormat implements AnswerFormat {
  readonly #job: GenerationJob;
  readonly #echo: ResponseEcho;
  /** null: the response is not stored. */
  readonly #keep: KeepResponse | null;
  readonly #texts: TokenTexts;
  readonly #output = new OutputItems();
  /** null: the answer has no calls. */
  readonly #reader: CallReader | null;
  #finishReason: FinishReason | null = null;
  /** Events so far. */
  #count = 0;

  constructor(
    job: GenerationJob,
    callForm: AnswerForm | null,
    echo: ResponseEcho,
    keep: KeepResponse | null,
  ) {
    this.#job = job;
    this.#echo = echo;
    this.#keep = keep;
    this.#texts = new TokenTexts(job.model.vocabulary);
    this.#reader = callForm && new CallReader(callForm);
  }

  async whole(deltas: AsyncIterable<ChoiceDelta>, life: RequestLife): Promise<ResponseObject> {
    const turns = new Turns();
    for await (const delta of deltas) {
      this.#read(delta);
      await turns.next();
    }
    return this.#ended(life);
  }

  async events(delta: ChoiceDelta): Promise<ServerSentEvent[]> {
    const first = this.#count === 0 ? this.#begin() : [];
    return this.#written([...first, ...this.#read(delta)]);
  }

  async lastEvents(life: RequestLife): Promise<ServerSentEvent[]> {
    const response = await this.#ended(life);
    return this.#written([{ type: `response.${response.status}`, response }]);
  }

  async failure(error: ServiceError, life: RequestLife): Promise<ServerSentEvent[]> {
    const { code, message, param } = errorBody(error).error;
    this.#output.cut();
    const response: ResponseObject = {
      ...this.#response('failed', life),
      error: { code: failureCode(error), message },
    };
    return this.#written([
      { type: 'error', code, message, param },
      { type: 'response.failed', response },
    ]);
  }

  #begin(): EventBody[] {
    const response: ResponseObject = { ...this.#response('in_progress'), output: [] };
    return ['response.created', 'response.in_progress'].map((type) => ({ type, response }));
  }

  #read({ text, tokens, logprobs, finishReason }: ChoiceDelta): EventBody[] {
    const scores = (logprobs ?? []).map((score, i) => this.#texts.scored(tokens[i]!, score));
    const pieces = this.#reader
      ? [...this.#reader.add(text), ...(finishReason ? this.#reader.end() : [])]
      : text === ''
        ? []
        : [{ type: 'text' as const, text }];
    const events = this.#output.add(pieces, scores);
    if (finishReason === null) return events;
    this.#finishReason = finishReason;
    return [...events, ...this.#output.end(this.#status)];
  }

  get #status(): 'completed' | 'incomplete' {
    return this.#finishReason === 'length' ? 'incomplete' : 'completed';
  }

  /** The finished response, which is stored before its client hears of it. */
  async #ended(life: RequestLife): Promise<ResponseObject> {
    const isCutOff = this.#status === 'incomplete';
    const response: ResponseObject = {
      ...this.#response(this.#status, life),
      completed_at: isCutOff ? null : seconds(),
      incomplete_details: isCutOff ? { reason: 'max_output_tokens' } : null,
    };
    if (this.#keep && !(await this.#keep(response))) response.store = false;
    return response;
  }

  /** @param life only of an answer that has ended */
  #response(status: ResponseObject['status'], life: RequestLife | null = null): ResponseObject {
    return {
      id: this.#job.id,
      object: 'response',
      created_at: this.#job.created,
      completed_at: null,
      status,
      error: null,
      incomplete_details: null,
      model: this.#job.model.name,
      output: this.#output.items,
      usage: life && usageOf(life),
      ...this.#echo,
      background: false,
      access_programs: null,
      max_tool_calls: null,
      reasoning: { effort: null, summary: null },
      service_tier: 'default',
      store: this.#keep !== null,
      truncation: 'disabled',
    };
  }

  /** Written one after another: an item of an earlier event may grow with the next delta. */
  async #written(bodies: readonly EventBody[]): Promise<ServerSentEvent[]> {
    const events: ServerSentEvent[] = [];
    for (const { type, ...body } of bodies) {
      const event = { type, sequence_number: this.#count++, ...body };
      events.push({ name: type, data: (await writeInTurns(event)).toString() });
    }
    return events;
  }
}

function usageOf(life: RequestLife): NonNullable<ResponseObject['usage']> {
  const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details } = answerUsage(life);
  return {
    input_tokens: prompt_tokens,
    input_tokens_details: { ...prompt_tokens_details, cache_write_tokens: 0 },
    output_tokens: completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens,
  };
}

/** A failure in the terms of this API, which has few. */
function failureCode({ status }: ServiceError): NonNullable<ResponseObject['error']>['code'] {
  if (status >= 500) return 'server_error';
  return status === 429 ? 'rate_limit_exceeded' : 'invalid_prompt';
}
