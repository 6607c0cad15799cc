import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { writeDamaged, writeSound } from '../support/damaged-checkpoints.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ServiceProcess } from '../support/service-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const count = 240;
/** Maximum time for each, milliseconds. */
const longestMs = 10_000;

it(`${count} damaged checkpoints: each is refused in a line or answers, none holds up the others`, async () => {
  const models = await temporaryFolder();
  const random = seededRandom(1);
  const damage = new Map<string, string>();
  for (let i = 0; i < count; i++) {
    const id = `m${String(i).padStart(3, '0')}`;
    damage.set(id, await writeDamaged(join(models, id), random));
  }
  for (const variant of ['dense', 'gemma3', 'gemma3n-k2'] as const)
    await writeSound(join(models, `sound-${variant}`), variant);

  const service = await ServiceProcess.start({
    ALTUP_MODELS: models,
    ALTUP_SLOTS: '1',
    ALTUP_CONTEXT: '64',
  });
  onTestFinished(async () => void (await service.stop()));
  expect(service.output).not.toMatch(/^\s+at /m);

  const { models: states } = (await (await fetch(`${service.url}/health/ready`)).json()) as {
    models: { id: string; state: string; message: string | null }[];
  };
  // A folder without config.json is not a model.
  expect(states.length).toBeGreaterThan(count - 15);
  const of = (state: string) => states.filter((model) => model.state === state);
  expect(of('failed').length + of('ready').length).toBe(states.length);
  for (const { id, message } of of('failed')) {
    expect.soft(message, `${id} ${damage.get(id)}`).toMatch(/^[^\n]{10,600}$/);
  }
  expect(of('failed').length).toBeGreaterThan(count / 3);
  expect(of('ready').map(({ id }) => id)).toEqual(
    expect.arrayContaining(['sound-dense', 'sound-gemma3', 'sound-gemma3n-k2']),
  );

  const times = service.log.map(({ time }) => Date.parse(String(time)));
  const pauses = times.slice(1).map((time, i) => time - times[i]!);
  expect(Math.max(...pauses)).toBeLessThan(longestMs);

  for (const { id } of of('ready')) {
    for (const [path, body] of [
      ['/v1/completions', { prompt: 'AB', max_tokens: 3, temperature: 0 }],
      ['/tokenize', { prompt: 'AB' }],
    ] as const) {
      const response = await service.post(path, { model: id, ...body });
      expect.soft(response.status, `${id} ${damage.get(id)}: ${await response.text()}`).toBe(200);
    }
  }
  expect(await service.metric('altup_engine_restarts_total')).toBe(0);
}, 240_000);
