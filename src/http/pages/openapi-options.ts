import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import type { FastifySwaggerUiOptions } from '@fastify/swagger-ui';

/** What the description of the API says beside its routes. */
export function openapiOptions(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'altup-serve',
        version,
        description:
          'Serves AltUp language models over the OpenAI completions and chat API. Every answer has the header `X-Request-Id`: the request’s own, where it sent one, and the one the log has.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      tags: [
        { name: 'generation', description: 'Generate text' },
        { name: 'models', description: 'What is served' },
        { name: 'tokens', description: 'Text to tokens and back' },
        { name: 'operation', description: 'For those who run the service; open without a key' },
      ],
      components: {
        securitySchemes: {
          apiKey: {
            type: 'http',
            scheme: 'bearer',
            description: 'Needed where the service is started with API keys.',
          },
        },
      },
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, index) => String(json.$id ?? `schema${index}`),
    },
  };
}

/** Pages that load nothing from elsewhere and work over plain HTTP. */
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
