const hasWeights = /^model\.safetensors(\.index\.json)?$/;

/** Files that a checkpoint may hold instead of safetensors weights, and the remedy. */
const otherWeights: readonly (readonly [name: RegExp, problem: string])[] = [
  [/\.gguf$/, 'holds GGUF files, which are not served; name the checkpoint that they were made from'],
  [
    /^adapter_config\.json$/,
    'holds a LoRA adapter without its base model; merge it with `altup export <base> --adapter <this folder>` and name the folder that it writes',
  ],
  [
    /^pytorch_model.*\.bin$/,
    'holds its weights as pytorch_model.bin, which can run programs; write them as safetensors with transformers: AutoModelForCausalLM (or AutoModelForSeq2SeqLM), from_pretrained() and save_pretrained()',
  ],
  [
    /\.(h5|msgpack|ckpt|pth|npz)$/,
    'holds weights of another framework; write them as safetensors with transformers: from_pretrained() and save_pretrained()',
  ],
  [
    /^model-\d+-of-\d+\.safetensors$/,
    'holds shards without their model.safetensors.index.json; download it too',
  ],
];

/** Why a checkpoint with these file names has no weights that can be served; null: it has. */
export function missingWeights(names: readonly string[]): string | null {
  if (names.some((name) => hasWeights.test(name))) return null;
  const other = otherWeights.find(([pattern]) => names.some((name) => pattern.test(name)));
  return other?.[1] ?? 'has no weights; expected model.safetensors or model.safetensors.index.json';
}

/** The same for all files that serving needs. */
export function missingFiles(names: readonly string[]): string | null {
  const weights = missingWeights(names);
  if (weights !== null) return weights;
  if (!names.includes('config.json')) return 'has no config.json';
  if (!names.includes('tokenizer.json')) {
    const model = names.find((name) => /^(tokenizer|spiece|sentencepiece.*)\.model$/.test(name));
    if (model === undefined) return 'has no tokenizer.json';
    return `has its tokenizer only as ${model}; write tokenizer.json with transformers: AutoTokenizer, from_pretrained() and save_pretrained()`;
  }
  return names.includes('tokenizer_config.json') ? null : 'has no tokenizer_config.json';
}

/** Whether the file names look like a checkpoint's. */
export function isCheckpointLike(names: readonly string[]): boolean {
  return names.some(
    (name) =>
      hasWeights.test(name) ||
      /\.model$/.test(name) ||
      name === 'tokenizer.json' ||
      otherWeights.some(([pattern]) => pattern.test(name)),
  );
}
