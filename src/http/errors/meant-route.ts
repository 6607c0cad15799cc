/** Paths of other APIs, and what does the same here. */
const otherApis: readonly [path: RegExp, api: string, here: string][] = [
  [
    /^\/v1$/,
    'the base URL of OpenAI’s clients',
    '/v1/models, /v1/completions, /v1/chat/completions or /v1/responses',
  ],
  [/^\/v1\/messages(\/.*)?$/, 'Anthropic’s API', '/v1/chat/completions'],
  [/^\/v1\/complete$/, 'Anthropic’s API', '/v1/completions'],
  [/^\/api\/chat$/, 'Ollama’s API', '/v1/chat/completions'],
  [/^\/api\/generate$/, 'Ollama’s API', '/v1/completions'],
  [/^\/api\/(tags|ps|show)$/, 'Ollama’s API', '/v1/models'],
  [/^\/api\/version$/, 'Ollama’s API', '/version'],
  [
    /^\/v1\/(assistants|conversations|threads)(\/.*)?$/,
    'an OpenAI API that keeps conversations',
    '/v1/responses, with the earlier items in `input`',
  ],
  [/^\/v1\/engines$/, 'an older OpenAI API', '/v1/models'],
  [/^\/v1\/engines\/.*$/, 'an older OpenAI API', '/v1/completions, with the model’s name as `model`'],
  [
    /^\/openai\/deployments\/.*\/chat\/completions$/,
    'Azure’s API',
    '/v1/chat/completions, with the model’s name as `model`',
  ],
  [/^\/openai(\/v1)?\/responses$/, 'Azure’s API', '/v1/responses'],
  [/^\/openai\/deployments\/.*$/, 'Azure’s API', '/v1/completions, with the model’s name as `model`'],
  [/^\/completion$/, 'llama.cpp’s API', '/v1/completions'],
  [/^\/generate(_stream)?$/, 'the API of Text Generation Inference', '/v1/completions'],
  [/^\/(healthz|livez|readyz|ping)$/, 'another server', '/health'],
];

/**
 * What to call instead of a path without a route, as a sentence; null: unknown.
 * @param isRoute whether a path has a route
 */
export function meantRoute(path: string, isRoute: (path: string) => boolean): string | null {
  const plain = path.replace(/\/{2,}/g, '/').replace(/(.)\/$/, '$1');
  // A base URL that ends with a slash, or that has `/v1` twice or not at all; and `/v1` where there is none.
  const variants = [
    plain,
    plain.replace(/^(\/v1)+\//, '/v1/'),
    `/v1${plain}`,
    plain.replace(/^\/v1(?=\/)/, ''),
  ];
  const variant = variants.find((each) => each !== path && isRoute(each));
  if (variant !== undefined) return `Call ${variant.slice(0, 200)}; check the client’s base URL.`;
  const other = otherApis.find(([pattern]) => pattern.test(plain));
  return other ? `That path is ${other[1]}; call ${other[2]}.` : null;
}
