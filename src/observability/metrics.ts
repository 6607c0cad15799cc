import { type ModelState, memoryOf, modelStates, type ServedModel } from '../catalog/served-model.ts';
import type { TextObserver } from '../catalog/texts/text-workers.ts';
import type { EngineObserver } from '../engine/protocol/engine.ts';
import { type EndEvent, type GenerationEvent, isEnd, promptLength } from '../engine/protocol/generation.ts';
import type { StepReport } from '../engine/protocol/messages.ts';
import type { SequenceLife } from '../engine/protocol/sequence-life.ts';
import type { MetricsCatalogue } from './metrics-catalogue.ts';
import { modelVariant } from './model-variant.ts';
import type { AnsweredRequest } from './request-life.ts';
import type { Stage } from './request-stages.ts';

/** What metrics read of an answered HTTP request. A `client` that is not distinguished is the empty string. */
type Answer = Pick<AnsweredRequest, 'model' | 'route' | 'status' | 'client'>;

interface ModelLoad {
  waiting: number;
  running: number;
  queueTokens: number;
}

/** Maximum clients with their own series; further ones share the label `other`. */
const maxClients = 100;
/** Tokens of a block of a prompt for the endpoint picker, as in vLLM. With larger ones it would see few common prefixes. */
const blockTokens = 16;
interface ModelInfos {
  readonly modelInfo: Record<string, string>;
  readonly cacheConfig: Record<string, string | number>;
}

const seconds = (milliseconds: number) => milliseconds / 1000;

/** The only place that observes: it turns the lives of sequences and requests and the engine's reports into metrics. */
export class Metrics implements EngineObserver, TextObserver {
  readonly #catalogue: MetricsCatalogue;
  readonly #loads = new Map<string, ModelLoad>();
  /** Names of API keys with their own label. */
  readonly #clients = new Set<string>();
  /** Labels of the metrics that describe a loaded model. */
  readonly #infos = new Map<string, ModelInfos>();

  constructor(catalogue: MetricsCatalogue, version: string) {
    this.#catalogue = catalogue;
    catalogue.buildInfo.set({ version, node: process.version }, 1);
  }

  /** The registry in Prometheus' text format. */
  async render(): Promise<{ contentType: string; text: string }> {
    const { registry } = this.#catalogue;
    return { contentType: registry.contentType, text: await registry.metrics() };
  }

  modelState(model: string, current: ModelState['state']): void {
    for (const state of modelStates) {
      this.#catalogue.modelState.set({ model, state }, state === current ? 1 : 0);
    }
  }

  loadFailed(model: string): void {
    this.#catalogue.modelLoads.inc({ model, outcome: 'failed' });
  }

  /** @param change 1: a request starts to wait for `model` to be loaded, -1: it stops waiting */
  loadWaiting(model: string, change: 1 | -1): void {
    this.#catalogue.loadWaiting.inc({ model }, change);
  }

  /** The model is not in memory any more. */
  unloaded(model: string, reason: string): void {
    this.#catalogue.modelUnloads.inc({ model, reason });
    this.#removeLoaded(model);
  }

  /** The model is no longer served: removes its gauges, keeps its counters. */
  removed(model: string): void {
    for (const state of modelStates) this.#catalogue.modelState.remove({ model, state });
    this.#catalogue.loadWaiting.remove({ model });
    this.#removeLoaded(model);
  }

  /** Removes the gauges of a loaded model. */
  #removeLoaded(model: string): void {
    const { modelLoadSeconds, modelMemory, waiting, running, queueTokens } = this.#catalogue;
    const { prefillBacklog, cacheUsage, cacheBytes, cacheBudget } = this.#catalogue;
    const ofLoad = [waiting, running, queueTokens, prefillBacklog];
    const gauges = [modelLoadSeconds, modelMemory, ...ofLoad, cacheUsage, cacheBytes, cacheBudget];
    for (const gauge of gauges) gauge.remove({ model });
    const { vllmWaiting, vllmRunning, vllmCacheUsage } = this.#catalogue;
    for (const gauge of [vllmWaiting, vllmRunning, vllmCacheUsage]) gauge.remove({ model_name: model });
    this.#removeInfo(model);
    this.#loads.delete(model);
  }

  #removeInfo(model: string): void {
    const infos = this.#infos.get(model);
    if (!infos) return;
    this.#catalogue.modelInfo.remove(infos.modelInfo);
    this.#catalogue.vllmCacheConfig.remove(infos.cacheConfig);
    this.#infos.delete(model);
  }

  loaded(model: ServedModel, loadSeconds: number): void {
    const { manifest, state, name } = model;
    this.#catalogue.modelLoadSeconds.set({ model: name }, loadSeconds);
    this.#catalogue.modelLoadDuration.observe({ model: name }, loadSeconds);
    this.#catalogue.modelLoads.inc({ model: name, outcome: 'loaded' });
    this.#catalogue.modelMemory.set({ model: name }, memoryOf(model) ?? 0);
    this.#showLoad(name);
    this.#showCacheUsage(name, 0);
    this.#catalogue.prefillBacklog.set({ model: name }, 0);
    if (!manifest || state.state !== 'ready') return;
    const { family, precision, digest, parameters } = manifest;
    const { slots, capacity, runtime, cacheBudget } = state;
    this.#catalogue.cacheBudget.set({ model: name }, cacheBudget);
    this.#removeInfo(name);
    const infos = {
      modelInfo: {
        model: name,
        family,
        precision,
        digest,
        parameters: String(parameters),
        variant: modelVariant(manifest),
        backend: runtime.backend,
        execution_provider: runtime.executionProvider,
      },
      cacheConfig: {
        model_name: name,
        block_size: blockTokens,
        num_gpu_blocks: Math.floor((slots * capacity) / blockTokens),
      },
    };
    this.#infos.set(name, infos);
    this.#catalogue.modelInfo.set(infos.modelInfo, 1);
    this.#catalogue.vllmCacheConfig.set(infos.cacheConfig, 1);
  }

  /** Counts an answered HTTP request, and bytes that were none. */
  answered({ model, route, status, client }: Answer): void {
    this.#catalogue.requests.inc({ model: model ?? '', route, status });
    if (client !== '') this.#catalogue.clientRequests.inc({ client: this.#clientLabel(client), status });
  }

  /** Counts a request for text or embeddings, and where its time went. Once for each, so that tokens cost nothing. */
  generationEnded(
    { model, client }: Pick<AnsweredRequest, 'model' | 'client'>,
    stages: readonly Stage[],
  ): void {
    const labels = { client: this.#clientLabel(client), model: model ?? '' };
    this.#catalogue.clientGenerations.inc(labels);
    for (const { name, from, to } of stages)
      this.#catalogue.clientStageSeconds.inc({ ...labels, stage: name }, seconds(to - from));
  }

  admitted({ request }: SequenceLife): void {
    const { model, client } = request;
    this.#catalogue.clientWaiting.inc({ client: this.#clientLabel(client) });
    const load = this.#loadOf(model);
    load.waiting++;
    load.queueTokens += promptLength(request);
    this.#showLoad(model);
  }

  happened(sequence: SequenceLife, event: GenerationEvent): void {
    if (event.type === 'started') this.#started(sequence, event.at);
    else if (event.type === 'tokens') this.#generated(sequence, event.at, event.tokens.length);
    else if (event.type === 'guessed') this.#guessed(sequence, event);
    else if (isEnd(event)) this.#ended(sequence, event);
  }

  textWaiting(model: string, change: 1 | -1): void {
    this.#catalogue.textsWaiting.inc({ model }, change);
  }

  textDone(model: string, textSeconds: number): void {
    this.#catalogue.tokenizeSeconds.observe({ model }, textSeconds);
  }

  rejected(model: string, reason: string, count: number): void {
    this.#catalogue.rejected.inc({ model, reason }, count);
  }

  logLineDropped(): void {
    this.#catalogue.logLinesDropped.inc();
  }

  grammarEnded(model: string, outcome: string, seconds: number): void {
    this.#catalogue.grammarSeconds.observe({ model, outcome }, seconds);
  }

  grammarsWaiting(count: number): void {
    this.#catalogue.grammarsWaiting.set(count);
  }

  restarted(): void {
    this.#catalogue.engineRestarts.inc();
  }

  stepped(step: StepReport): void {
    const { model, prefillMs, decodeMs, decodeRows } = step;
    if (prefillMs !== null)
      this.#catalogue.stepSeconds.observe({ model, phase: 'prefill' }, seconds(prefillMs));
    if (decodeMs !== null) {
      this.#catalogue.stepSeconds.observe({ model, phase: 'decode' }, seconds(decodeMs));
      this.#catalogue.stepBatchSize.observe({ model }, decodeRows);
    }
    this.#catalogue.prefillBacklog.set({ model }, seconds(step.prefillBacklogMs));
    this.#catalogue.cacheBytes.set({ model }, step.cacheBytes);
    // No step follows the last request's, so its cache usage would be shown for ever.
    this.#showCacheUsage(model, this.#loadOf(model).running === 0 ? 0 : step.cacheUsage);
  }

  #started({ request }: SequenceLife, at: number): void {
    const { model, queuedAt } = request;
    const load = this.#loadOf(model);
    load.waiting--;
    load.running++;
    load.queueTokens -= promptLength(request);
    this.#showLoad(model);
    this.#catalogue.queueSeconds.observe({ model }, seconds(at - queuedAt));
    this.#catalogue.promptTokens.inc({ model }, promptLength(request));
    const client = this.#clientLabel(request.client);
    this.#catalogue.clientWaiting.dec({ client });
    this.#catalogue.clientQueueSeconds.observe({ client }, seconds(at - queuedAt));
    this.#catalogue.clientPromptTokens.inc({ client }, promptLength(request));
  }

  #generated({ request, lastTokenAt }: SequenceLife, at: number, count: number): void {
    if (count === 0) return;
    const { model, arrivedAt } = request;
    const client = this.#clientLabel(request.client);
    if (lastTokenAt === null) {
      this.#catalogue.clientTimeToFirstToken.observe({ client }, seconds(at - arrivedAt));
      this.#catalogue.timeToFirstToken.observe({ model }, seconds(at - arrivedAt));
    } else {
      for (let i = 0; i < count; i++) {
        this.#catalogue.interToken.observe({ model }, seconds(at - lastTokenAt) / count);
      }
    }
    this.#catalogue.generatedTokens.inc({ model }, count);
    this.#catalogue.clientGeneratedTokens.inc({ client }, count);
  }

  #guessed(
    { request: { model } }: SequenceLife,
    { source, tokens, right }: Extract<GenerationEvent, { type: 'guessed' }>,
  ): void {
    this.#catalogue.guessedTokens.inc({ model }, tokens);
    this.#catalogue.rightGuesses.inc({ model }, right);
    if (source !== 'draft') return;
    this.#catalogue.draftedTokens.inc({ model }, tokens);
    this.#catalogue.rightDrafts.inc({ model }, right);
  }

  #ended({ request, startedAt, prefilledAt, cachedTokens }: SequenceLife, event: EndEvent): void {
    const { model, client, arrivedAt } = request;
    const load = this.#loadOf(model);
    if (startedAt !== null) load.running--;
    else {
      load.waiting--;
      load.queueTokens -= promptLength(request);
      this.#catalogue.clientWaiting.dec({ client: this.#clientLabel(client) });
    }
    this.#showLoad(model);
    if (load.running === 0) this.#showCacheUsage(model, 0);

    this.#catalogue.prefixReusedTokens.inc({ model }, cachedTokens);
    this.#catalogue.requestSeconds.observe({ model }, seconds(event.at - arrivedAt));
    const isEmbedded = event.type === 'embedded';
    const readAt = isEmbedded ? event.at : prefilledAt;
    if (startedAt !== null && readAt !== null) {
      this.#catalogue.prefillSeconds.observe({ model }, seconds(readAt - startedAt));
      if (!isEmbedded) this.#catalogue.decodeSeconds.observe({ model }, seconds(event.at - readAt));
    }
    if (event.type === 'aborted') this.#catalogue.aborted.inc({ model, stage: event.stage });
    if (event.type === 'failed') this.#catalogue.failed.inc({ model, code: event.code });
  }

  /** The operator chooses the names of keys. Addresses share a label, because anybody can have many. */
  #clientLabel(client: string): string {
    if (client === '' || client.startsWith('address ')) return 'anonymous';
    if (this.#clients.size < maxClients) this.#clients.add(client);
    return this.#clients.has(client) ? client : 'other';
  }

  #loadOf(model: string): ModelLoad {
    let load = this.#loads.get(model);
    if (!load) {
      load = { waiting: 0, running: 0, queueTokens: 0 };
      this.#loads.set(model, load);
    }
    return load;
  }

  #showLoad(model: string): void {
    const { waiting, running, queueTokens } = this.#loadOf(model);
    this.#catalogue.waiting.set({ model }, waiting);
    this.#catalogue.vllmWaiting.set({ model_name: model }, waiting);
    this.#catalogue.running.set({ model }, running);
    this.#catalogue.vllmRunning.set({ model_name: model }, running);
    this.#catalogue.queueTokens.set({ model }, queueTokens);
  }

  #showCacheUsage(model: string, ratio: number): void {
    this.#catalogue.cacheUsage.set({ model }, ratio);
    this.#catalogue.vllmCacheUsage.set({ model_name: model }, ratio);
  }
}
