import { join } from 'node:path';
import { Tokenizer } from '../src/catalog/tokenizer/tokenizer.ts';
import { ensureExport } from '../src/export/export-checkpoint.ts';
import { answerForm } from '../src/http/chat/tools/answer-form.ts';
import { callGrammar } from '../src/http/chat/tools/call-grammar.ts';
import { readToolUse } from '../src/http/chat/tools/read-tools.ts';
import { agreedForm } from '../src/http/chat/tools/render-tools.ts';
import { keepTokenBytes } from '../src/runtime/grammars/token-bytes.ts';
import { NativeSession } from '../src/runtime/native/native-session.ts';
import type { GrammarSource } from '../src/sampling/grammar.ts';
import { samplingRequest } from '../test/support/sampling-request.ts';
import { requireAddon } from './altup-graph.ts';
import { type BenchResult, median, spread } from './result.ts';

const model = 'austen-t5-altup-k2';
const checkpoint = join(import.meta.dirname, '../models', model);
const threads = 2;
const steps = 120;
const rounds = 41;

/** Items of a document that is too long to end within a round. */
const person = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 40 },
    mood: { enum: ['calm', 'merry', 'vexed'] },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    height: { type: 'number' },
  },
  required: ['name', 'mood', 'age', 'height'],
  additionalProperties: false,
};
const sources: Record<string, GrammarSource> = {
  json: { json: JSON.stringify({ type: 'array', items: person, minItems: 100 }) },
  regex: { regex: '([A-Z][a-z]{1,9} ){400}' },
};

/** The grammar of answers that may call a function. The model writes only free text. */
function withTools(tokenizer: Tokenizer): GrammarSource {
  const tool = { type: 'function' as const, function: { name: 'meet', parameters: person } };
  const use = readToolUse({
    tools: [tool],
    placeOf: (index) => `tools[${index}]`,
    mode: 'auto',
    names: null,
    isParallel: true,
    structure: null,
    formatParam: 'response_format',
  });
  const anywhere = { isAtStart: false, showsSpecials: false };
  return callGrammar(use!, answerForm(agreedForm, tokenizer, anywhere));
}

/** Compares decode steps of a batch that follows a grammar with the same batch without one. */
export async function run(): Promise<BenchResult> {
  const { folder, manifest } = await ensureExport(checkpoint, 'fp32');
  const tokenizer = Tokenizer.load(checkpoint);
  keepTokenBytes(model, tokenizer, manifest.vocabSize, manifest.specialTokens.eos);
  const options = { folder, slots: 8, maxContext: 512, threads };
  const native = requireAddon();
  const session = await NativeSession.open(manifest, options, native);
  for (let slot = 0; slot < session.slots; slot += 1) {
    await session.encode(
      slot,
      Array.from({ length: 32 }, (_, i) => 100 + i),
    );
  }
  /** Median milliseconds of a batch's steps; each row follows the grammar from its first token on. */
  const measure = async (batch: number, grammar: number | null) => {
    const rows = Array.from({ length: batch }, (_, row) => ({
      token: 0,
      past: 0,
      sampling: session.startSampling(
        samplingRequest({ parameters: { temperature: 1, seed: [row, 0], grammar } }),
      ),
    }));
    const times: number[] = [];
    for (let step = 0; step < steps; step += 1) {
      const start = performance.now();
      const results = await session.decode(rows);
      const time = performance.now() - start;
      let chosen = 0;
      for (const [row, result] of results.entries()) {
        if (result === 'late') continue;
        if (result === null || result instanceof Error) throw result ?? new Error('no token');
        rows[row]!.token = result.token;
        rows[row]!.past += 1;
        chosen += 1;
      }
      // A row whose grammar is late repeats the step.
      times.push((time * batch) / Math.max(1, chosen));
    }
    for (const { sampling } of rows) sampling.end();
    return median(times);
  };
  const table: BenchResult['rows'] = [];
  const ratios: BenchResult['ratios'] = {};
  for (const [kind, source] of Object.entries({ ...sources, tools: withTools(tokenizer) })) {
    const { id } = await native.addon.compileGrammar(model, source);
    for (const batch of [1, 8]) {
      const free: number[] = [];
      const structured: number[] = [];
      for (let round = -2; round < rounds; round += 1) {
        // The two alternate in going first, so that the machine's drift affects both equally.
        const turns = round % 2 === 0 ? [null, id] : [id, null];
        for (const grammar of turns) {
          const time = await measure(batch, grammar);
          if (round >= 0) (grammar === null ? free : structured).push(time);
        }
      }
      const relative = structured.map((time, i) => time / free[i]!);
      ratios[`${kind}-b${batch}`] = median(relative);
      table.push({
        case: `${kind}-b${batch}`,
        'free ms': median(free),
        'free range': spread(free),
        'structured ms': median(structured),
        'structured range': spread(structured),
        ratio: median(relative),
        'ratio, range': spread(relative),
      });
    }
  }
  await session.close();
  return { name: 'structured', rows: table, ratios };
}
