import { expect, it } from 'vitest';
import { ServiceProcess } from '../support/service-process.ts';

const model = 'austen-t5-altup-k2';

interface Completion {
  model: string;
  choices: { text: string }[];
}

it('a service loads a model in each precision asked for and serves it by name', async () => {
  const service = await ServiceProcess.start({
    ALTUP_MODELS: `models/${model}`,
    ALTUP_PRECISION: 'int8,fp32,int4,fp16',
    ALTUP_SLOTS: '2',
  });
  const { data } = (await (await fetch(`${service.url}/v1/models`)).json()) as {
    data: { id: string; root: string; precision: string }[];
  };
  expect(data.map(({ id, root, precision }) => [id, root, precision])).toEqual([
    [model, model, 'int8'],
    [`${model}:fp32`, model, 'fp32'],
    [`${model}:int4`, model, 'int4'],
    [`${model}:fp16`, model, 'fp16'],
  ]);

  const complete = async (name: string) => {
    const body = { model: name, prompt: 'Emma was not long in the', max_tokens: 24, temperature: 0 };
    const response = await service.post('/v1/completions', body);
    return { status: response.status, ...((await response.json()) as Completion) };
  };
  const [plain, int8, fp32, fp16, int4] = await Promise.all(
    ['', ':int8', ':fp32', ':fp16', ':int4'].map((precision) => complete(`${model}${precision}`)),
  );
  for (const answer of [plain, int8, fp32, fp16, int4]) {
    expect(answer!.status).toBe(200);
    expect(answer!.choices[0]!.text.length).toBeGreaterThan(20);
  }
  // The default precision has two names, and half precision is close enough to choose the same tokens.
  expect(int8!.choices[0]!.text).toBe(plain!.choices[0]!.text);
  expect(fp16!.choices[0]!.text).toBe(fp32!.choices[0]!.text);
  expect((await complete(`${model}:int2`)).status).toBe(404);
  expect(await service.metric('altup_model_info{', `model="${model}:int4"`, 'precision="int4"')).toBe(1);
  expect(await service.stop()).toBe(0);
});
