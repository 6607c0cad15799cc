import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui';

/** The API description except for its routes. */
export function openapiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'altup-serve',
        version,
        description:
          'Serves AltUp language models over OpenAI’s API of completions, chats and responses. Every answer has the header `X-Request-Id`, with the id of the request if it sent one. The log has the same id.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'generation', description: 'Generate text' },
        { name: 'models', description: 'The served models' },
        { name: 'tokens', description: 'Text to tokens and back' },
        { name: 'operation', description: 'For operators of the service; needs no key' },
      ],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'http',
            scheme: 'bearer',
            description: 'Required if the service runs with API keys.',
          },
          apiKeyHeader: {
            type: 'apiKey',
            in: 'header',
            name: 'x-api-key',
            description: 'The same key, for clients that send it this way.',
          },
        },
      },
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) => String(json.$id ?? `schema${index}`),
    },
  };
}

/** Pages that load nothing from other hosts and work over plain HTTP. */
export const swaggerUiOptions: FastifySwaggerUiOptions = {
  routePrefix: '/docs',
  uiConfig: { validatorUrl: null },
  staticCSP: {
    'default-src': ["'self'"],
    'img-src': ["'self'", 'data:'],
    'style-src': ["'self'", "'unsafe-inline'"],
    'object-src': ["'none'"],
    'frame-ancestors': ["'self'"],
  },
};
