import { setTimeout } from 'node:timers/promises';
import { createParser } from 'eventsource-parser';
import { seededRandom } from '../test/support/seeded-random.ts';
import { ServiceProcess } from '../test/support/service-process.ts';
import { realGemmaCheckpoint } from './peers/ggufs.ts';
import { type BenchResult, median } from './result.ts';
import { numberAsked } from './support/number-asked.ts';
import { serviceCurve } from './support/queueing/service-curve.ts';
import { type Processors, type Routing, simulate } from './support/queueing/simulate.ts';
import type { Arrival, Served } from './support/queueing/simulated-instance.ts';
import { type Conversation, conversations, systemPrompt, turns } from './support/routing/conversations.ts';
import { type Choice, EndpointPicker, podPort } from './support/routing/endpoint-picker.ts';

const instances = 4;
const slots = 8;
const assistants = 24;
/** Tokens of an answer. */
const answerTokens = 48;
const stepMs = 250;
/** How much longer prompts may make a step of generating sequences, in scheduler/step-times.ts. */
const stretch = 2.6;
const names = { turns: 'in turns', prefix: 'endpoint picker' };
const path = '/v1/chat/completions';
const model = 'gemma-3-270m';
const address = (i: number) => `127.0.0.${i + 2}`;

interface Message {
  role: string;
  content: string;
}

interface Turn {
  firstTokenMs: number;
  totalMs: number;
  prompt: number;
  cached: number;
  content: string;
}

/** Where a request goes; the body is as it is sent. */
type Route = (body: Buffer) => Promise<Choice>;

async function ask(route: Route, messages: readonly Message[], tokens = answerTokens): Promise<Turn> {
  const body = Buffer.from(
    JSON.stringify({
      model,
      messages,
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      stream: true,
      stream_options: { include_usage: true },
    }),
  );
  const start = performance.now();
  const choice = await route(body);
  const turn = { firstTokenMs: 0, totalMs: 0, prompt: 0, cached: 0, content: '' };
  try {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(choice.url + path, { method: 'POST', headers, body });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    const parser = createParser({
      onEvent: ({ data }) => {
        if (data === '[DONE]') return;
        const { error, usage, choices } = JSON.parse(data);
        if (error) throw new Error(error.message);
        const text = choices?.[0]?.delta?.content ?? '';
        if (text !== '') turn.firstTokenMs ||= performance.now() - start;
        turn.content += text;
        if (!usage) return;
        turn.prompt = usage.prompt_tokens;
        turn.cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
      },
    });
    const decoder = new TextDecoder();
    for await (const bytes of response.body!) parser.feed(decoder.decode(bytes, { stream: true }));
  } finally {
    choice.end();
  }
  turn.totalMs = performance.now() - start;
  return turn;
}

async function converse(route: Route, conversation: Conversation): Promise<Turn[]> {
  const messages: Message[] = [{ role: 'system', content: systemPrompt(conversation.assistant) }];
  const done: Turn[] = [];
  await setTimeout(conversation.atMs);
  for (const [i, content] of conversation.questions.entries()) {
    messages.push({ role: 'user', content });
    const turn = await ask(route, messages);
    done.push(turn);
    messages.push({ role: 'assistant', content: turn.content });
    if (i + 1 < turns) await setTimeout(conversation.pausesMs[i]!);
  }
  return done;
}

const start = (i: number) =>
  ServiceProcess.start({
    ALTUP_MODELS: realGemmaCheckpoint(),
    ALTUP_PRECISION: 'int4',
    ALTUP_HOST: address(i),
    ALTUP_PORT: String(podPort),
    ALTUP_SLOTS: String(slots),
    ALTUP_THREADS: '1',
    ALTUP_CONTEXT: '4096',
    ALTUP_STEP_MS: String(stepMs),
    // How often its guesses are right depends on the text, which the simulation does not know.
    ALTUP_PROMPT_LOOKUP: 'false',
    ALTUP_LOG_LEVEL: 'info',
  });

/** Runs it with all instances, newly started so that they hold no prompts. */
async function withInstances<T>(run: (urls: string[]) => Promise<T>): Promise<T> {
  const services = await Promise.all(Array.from({ length: instances }, (_, i) => start(i)));
  try {
    await Promise.all(services.map((service) => service.logged('model ready')));
    return await run(services.map(({ url }) => url));
  } finally {
    await Promise.all(services.map((service) => service.stop()));
  }
}

async function withPicker<T>(
  urls: readonly string[],
  run: (picker: EndpointPicker) => Promise<T>,
): Promise<T> {
  const picker = await EndpointPicker.start(urls.map((_, i) => address(i)));
  try {
    return await run(picker);
  } finally {
    picker.stop();
  }
}

const turnsOf = (urls: readonly string[]): Route => {
  let count = 0;
  return async () => {
    count += 1;
    return { url: urls[count % urls.length]!, end: () => {} };
  };
};

/** What the simulation needs: an instance's times alone, and how many processors all of them together have. */
async function calibrate(urls: readonly string[]) {
  const to =
    (i: number): Route =>
    async () => ({ url: urls[i]!, end: () => {} });
  const question = (seed: number, length: number): Message[] => [
    { role: 'user', content: systemPrompt(100 + seed).slice(0, length) },
  ];
  const all = Array.from({ length: instances }, (_, i) => i);
  const decode = async (ids: readonly number[], sequences: number) => {
    const tokens = 96;
    const started = ids.flatMap((i) =>
      Array.from({ length: sequences }, (_, n) => ask(to(i), question(n, 100), tokens)),
    );
    const done = await Promise.all(started);
    const ms = median(done.map(({ totalMs, firstTokenMs }) => totalMs - firstTokenMs));
    return (1000 * sequences * (tokens - 1)) / ms;
  };
  await decode(all, 2);
  const measured: { sequences: number; tokensPerSecond: number }[] = [];
  for (const sequences of [1, 2, 4, slots])
    measured.push({ sequences, tokensPerSecond: await decode([0], sequences) });
  const together = await decode(all, 4);
  const alone = measured.find(({ sequences }) => sequences === 4)!.tokensPerSecond;
  const generating = Math.min(instances, (instances * together) / alone);
  let asked = 20;
  /** Milliseconds of two prompts on each of these instances. */
  const computePrompts = async (ids: readonly number[]) => {
    const from = performance.now();
    const started = ids.flatMap((i) =>
      Array.from({ length: 2 }, () => {
        asked += 1;
        return ask(to(i), question(asked, 2400), 1);
      }),
    );
    await Promise.all(started);
    return performance.now() - from;
  };
  const promptsAlone = median([
    await computePrompts([0]),
    await computePrompts([1]),
    await computePrompts([2]),
  ]);
  const promptsTogether = median([
    await computePrompts(all),
    await computePrompts(all),
    await computePrompts(all),
  ]);
  const shared = Math.min(instances, (instances * promptsAlone) / promptsTogether);
  const processors: Processors = { generating, prompts: shared };
  const prompts: Turn[] = [];
  for (let i = 0; i < 5; i += 1) prompts.push(await ask(to(0), question(10 + i, 2400), 2));
  const repeated = await ask(to(0), question(14, 2400), 2);
  const fixedMs = repeated.firstTokenMs - 1000 / measured[0]!.tokensPerSecond;
  const promptMs = median(
    prompts.map((each) => (each.firstTokenMs - repeated.firstTokenMs) / (each.prompt - each.cached)),
  );
  return { measured, curve: serviceCurve(measured), processors, promptMs, fixedMs };
}

type Calibration = Awaited<ReturnType<typeof calibrate>>;

interface Figures {
  cachedShare: number;
  firstTokenMs: number[];
  totalMs: number[];
  tokensPerSecond: number;
}

function simulated(
  all: readonly Conversation[],
  lengths: Lengths,
  routing: Routing,
  calibration: Calibration,
): Figures {
  const { curve, processors, promptMs, fixedMs } = calibration;
  const at = (conversation: Conversation, turn: number, atMs: number): Arrival => ({
    atMs,
    tokens: answerTokens,
    prompt: {
      tokens: lengths.system + (turn + 1) * lengths.question + turn * answerTokens,
      conversation: conversation.id,
      beginning: conversation.assistant,
      common: lengths.system,
    },
  });
  const turn = new Map<number, number>();
  let endMs = 0;
  const { served } = simulate({
    instances,
    processors,
    slots,
    curve,
    costs: { promptMs, stretch, stepMs },
    arrivals: all.map((conversation) => at(conversation, 0, conversation.atMs)),
    routing,
    next: ({ prompt }, nowMs) => {
      endMs = nowMs;
      const done = (turn.get(prompt!.conversation) ?? 0) + 1;
      turn.set(prompt!.conversation, done);
      const conversation = all[prompt!.conversation]!;
      return done < turns
        ? at(conversation, done, nowMs + fixedMs + conversation.pausesMs[done - 1]!)
        : undefined;
    },
  });
  const prompts = all.length * turns;
  const tokens =
    all.length *
    (turns * lengths.system +
      ((turns * (turns + 1)) / 2) * lengths.question +
      ((turns * (turns - 1)) / 2) * answerTokens);
  const from = (figure: (each: Served) => number) => served.map((each) => fixedMs + figure(each));
  return {
    cachedShare: served.reduce((sum, { cached }) => sum + cached, 0) / tokens,
    firstTokenMs: from(({ firstTokenMs }) => firstTokenMs),
    totalMs: from(({ totalMs }) => totalMs),
    tokensPerSecond: (1000 * prompts * answerTokens) / endMs,
  };
}

/** Tokens of the parts of a prompt, as the chats had them on average. */
interface Lengths {
  system: number;
  question: number;
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Conversations with 24 assistants over four instances: requests sent to each in turn, and where the endpoint picker of the
 * Gateway API Inference Extension says. Then the same conversations in the simulation.
 */
export async function run(): Promise<BenchResult> {
  const seconds = numberAsked('seconds', 120);
  const rounds = numberAsked('rounds', 2);
  const rate = numberAsked('conversations', 30) / 100;
  // The picker reads the metrics of every instance 20 times a second, which takes time too.
  const calibrations = {
    turns: await withInstances(calibrate),
    prefix: await withInstances((urls) => withPicker(urls, () => calibrate(urls))),
  };
  for (const [routing, { curve: _, ...times }] of Object.entries(calibrations)) console.error(routing, times);
  const rows: BenchResult['rows'] = [];
  const ratios: Record<string, number> = {};
  for (const [routing, { measured, processors, promptMs, fixedMs }] of Object.entries(calibrations)) {
    const figures = {
      'processors when generating': processors.generating,
      'processors for prompts': processors.prompts,
      'ms of a prompt token': promptMs,
      'ms of a request besides': fixedMs,
    };
    const steps = measured.map(({ sequences, tokensPerSecond }) => [
      `ms of a step of ${sequences}`,
      (1000 * sequences) / tokensPerSecond,
    ]);
    for (const [what, value] of [...Object.entries(figures), ...steps] as [string, number][])
      rows.push({
        routing: names[routing as Routing & keyof typeof names],
        what,
        measured: Number(value.toPrecision(3)),
      });
  }
  const figures: Record<'turns' | 'prefix', Figures[]> = { turns: [], prefix: [] };
  const simulations: Record<'turns' | 'prefix', Figures[]> = { turns: [], prefix: [] };
  for (let round = 0; round < rounds; round += 1) {
    const all = conversations(seededRandom(round + 1), assistants, rate, seconds);
    for (const routing of round % 2 === 0 ? (['turns', 'prefix'] as const) : (['prefix', 'turns'] as const)) {
      const converseAll = async (route: Route) => {
        const start = performance.now();
        const answers = await Promise.all(all.map((conversation) => converse(route, conversation)));
        return { answers, ms: performance.now() - start };
      };
      const done = await withInstances((urls) =>
        routing === 'turns'
          ? converseAll(turnsOf(urls))
          : withPicker(urls, (picker) => converseAll((body) => picker.pick(path, body))),
      );
      const answers = done.answers.flat();
      const sum = (figure: (turn: Turn) => number) =>
        answers.reduce((total, turn) => total + figure(turn), 0);
      figures[routing].push({
        cachedShare: sum(({ cached }) => cached) / sum(({ prompt }) => prompt),
        firstTokenMs: answers.map(({ firstTokenMs }) => firstTokenMs),
        totalMs: answers.map(({ totalMs }) => totalMs),
        tokensPerSecond: (1000 * answers.length * answerTokens) / done.ms,
      });
      const firsts = mean(done.answers.map(([first]) => first!.prompt));
      const growth = mean(
        done.answers.map((turns) => (turns.at(-1)!.prompt - turns[0]!.prompt) / (turns.length - 1)),
      );
      const question = growth - answerTokens;
      simulations[routing].push(
        simulated(all, { system: firsts - question, question }, routing, calibrations[routing]),
      );
      console.error(routing, round, shown(figures[routing].slice(-1)), shown(simulations[routing].slice(-1)));
    }
  }
  for (const routing of ['turns', 'prefix'] as const) {
    const [real, simulation] = [shown(figures[routing]), shown(simulations[routing])];
    for (const [what, value] of Object.entries(real)) {
      const ratio = simulation[what]! / value;
      ratios[`${routing}: simulated ÷ measured ${what}`] = ratio;
      rows.push({
        routing: names[routing],
        what,
        measured: Number(value.toPrecision(3)),
        simulated: Number(simulation[what]!.toPrecision(3)),
        'error, %': Math.round(100 * (ratio - 1)),
      });
    }
  }
  const [inTurns, picked] = [shown(figures.turns), shown(figures.prefix)];
  for (const [what, value] of Object.entries(picked))
    ratios[`picker ÷ turns: ${what}`] = value / inTurns[what]!;
  return { name: 'routing', rows, ratios };
}

/** The figures of all rounds together. */
function shown(rounds: readonly Figures[]): Record<string, number> {
  const firsts = rounds.flatMap(({ firstTokenMs }) => firstTokenMs);
  const totals = rounds.flatMap(({ totalMs }) => totalMs);
  return {
    'share of prompts that was cached': mean(rounds.map(({ cachedShare }) => cachedShare)),
    'first token, median ms': quantile(firsts, 0.5),
    'first token, p95 ms': quantile(firsts, 0.95),
    'first token, p99 ms': quantile(firsts, 0.99),
    'answer, median ms': quantile(totals, 0.5),
    'answer, p95 ms': quantile(totals, 0.95),
    'tokens per second': mean(rounds.map(({ tokensPerSecond }) => tokensPerSecond)),
    requests: firsts.length,
  };
}
