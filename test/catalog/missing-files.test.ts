import { describe, expect, it } from 'vitest';
import { missingFiles, missingWeights } from '../../src/catalog/missing-files.ts';

const whole = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
const without = (name: string) => whole.filter((other) => other !== name);

describe('what a checkpoint lacks', () => {
  it('is nothing where all is there, whatever lies beside it', () => {
    expect(missingFiles(whole)).toBeNull();
    expect(missingFiles([...whole, 'a.gguf', 'pytorch_model.bin', 'adapter_config.json'])).toBeNull();
    expect(missingWeights(['model.safetensors.index.json'])).toBeNull();
  });

  it.each([
    [without('config.json'), 'has no config.json'],
    [without('tokenizer_config.json'), 'has no tokenizer_config.json'],
    [without('tokenizer.json'), 'has no tokenizer.json'],
    [
      [...without('tokenizer.json'), 'spiece.model'],
      'has its tokenizer only as spiece.model; write tokenizer.json',
    ],
    [[...without('tokenizer.json'), 'tokenizer.model'], 'has its tokenizer only as tokenizer.model'],
    [without('model.safetensors'), 'has no weights; expected model.safetensors or'],
  ])('%j', (names, problem) => {
    expect(missingFiles(names)).toContain(problem);
  });
});
