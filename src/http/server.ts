import { randomUUID } from 'node:crypto';
import { type IncomingMessage, maxHeaderSize } from 'node:http';
import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify';
import { recordAccess } from './access.ts';
import { adminRoutes } from './admin/admin-routes.ts';
import { ChatCompletionSchema } from './chat/chat-response.ts';
import { chatCompletionsRoute } from './chat/chat-route.ts';
import { CompletionSchema } from './completions/completion-response.ts';
import { completionsRoute } from './completions/completions-route.ts';
import { embeddingsRoute } from './embeddings/embeddings-route.ts';
import { handleErrors, readableUrl } from './errors/error-handlers.ts';
import { documentErrors, ErrorSchema } from './errors/error-schema.ts';
import { refuseMalformedHttp } from './errors/malformed-http.ts';
import { healthLiveRoute, healthReadyRoutes, versionRoute } from './health/health-routes.ts';
import { ReadySchema } from './health/health-schemas.ts';
import { ignoreUnknownFields } from './json/ignored-fields.ts';
import { readJsonBodies } from './json/json-body.ts';
import { checkHosts } from './limits/allowed-hosts.ts';
import { allowOrigins } from './limits/allowed-origins.ts';
import { boundBodies, ClientLimits, limitRate } from './limits/client-limits.ts';
import { nameClient } from './limits/client-name.ts';
import { noteModel } from './models/find-model.ts';
import { ModelSchema } from './models/model-schema.ts';
import { getModelRoute, listModelsRoute } from './models/models-routes.ts';
import { metricsRoute, openapiRoute } from './pages/machine-pages.ts';
import { openapiOptions, swaggerUiOptions } from './pages/openapi-options.ts';
import { playgroundRoutes } from './pages/playground-routes.ts';
import { ResponseSchema } from './responses/response-object.ts';
import { responsesRoutes } from './responses/responses-route.ts';
import { ownKeywords } from './schema-field.ts';
import type { App, ServerDependencies } from './server-dependencies.ts';
import { detokenizeRoute, tokenizeRoute, tokenizerInfoRoute } from './tokenize/tokenize-routes.ts';

const acceptable = /^[\w.:/+=@-]{1,128}$/;

/** The caller's X-Request-Id if it is fit for a header and a log line, else a new one. */
function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && acceptable.test(given) ? given : randomUUID();
}

/** Maximum time for a request's headers and for the whole request to arrive, and how often to check; milliseconds. */
const arrival = { headersMs: 10_000, wholeMs: 60_000, checkMs: 1000 };

/** A connection idle for this long beyond a request's maximum lifetime is closed; milliseconds. */
const idleBeyondMs = 30_000;
/** Silence on a connection before the system sends a TCP keep-alive probe; milliseconds. */
const keepAliveMs = 15_000;

/** Accepts values as they are or refuses them: nothing is converted, removed or filled in. */
const ajv = {
  customOptions: {
    coerceTypes: false as const,
    removeAdditional: false as const,
    useDefaults: false,
    allErrors: false,
    verbose: true,
    allowUnionTypes: true,
    keywords: ownKeywords,
  },
};

/** The HTTP server, ready to listen or for `inject`. It starts nothing itself. */
export function buildServer(dependencies: ServerDependencies): App {
  const { config, logger, version } = dependencies;
  const app: App = Fastify({
    loggerInstance: logger as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestId,
    bodyLimit: config.bodyLimit,
    trustProxy: config.trustedProxies,
    requestTimeout: arrival.wholeMs,
    connectionTimeout: config.requestTimeoutMs + idleBeyondMs,
    keepAliveTimeout: config.requestTimeoutMs + idleBeyondMs,
    http: {
      headersTimeout: arrival.headersMs,
      connectionsCheckingInterval: arrival.checkMs,
      // checkHosts refuses a request without a host, with our own error.
      requireHostHeader: false,
      keepAlive: true,
      keepAliveInitialDelay: keepAliveMs,
    },
    // While the service closes, requests get our answer instead of Fastify's.
    return503OnClosing: false,
    rewriteUrl: readableUrl,
    // Long model names reach the handler, which answers `model_not_found`. Node's header limit bounds the URL.
    routerOptions: { maxParamLength: maxHeaderSize },
    clientErrorHandler: refuseMalformedHttp(dependencies),
    ajv,
  }).withTypeProvider<TypeBoxTypeProvider>();

  // Response schemas only document answers; they never filter or convert them.
  app.setSerializerCompiler(() => (answer) => JSON.stringify(answer));
  for (const shared of [
    ErrorSchema,
    CompletionSchema,
    ChatCompletionSchema,
    ResponseSchema,
    ModelSchema,
    ReadySchema,
  ])
    app.addSchema(shared);
  // Ignore an `Expect` header that cannot be met, and answer the request like any other.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  recordAccess(app, dependencies);
  readJsonBodies(app);
  // Before everything that refuses, so that pages of allowed origins can read every refusal.
  allowOrigins(app, config);
  // The pages under /docs set their own content policy. Strict transport security is the proxy's job.
  app.register(helmet, { contentSecurityPolicy: false, strictTransportSecurity: false });
  // After these two, so that refusals of hosts and of unknown paths carry their headers.
  app.after(() => {
    checkHosts(app, config);
    handleErrors(app);
  });
  app.register(swagger, openapiOptions(version));
  app.register(swaggerUi, swaggerUiOptions);

  app.register(async (open) => {
    for (const route of [
      playgroundRoutes,
      healthLiveRoute,
      healthReadyRoutes,
      versionRoute,
      metricsRoute,
      openapiRoute,
    ]) {
      route(open as App, dependencies);
    }
  });
  app.register(async (guarded) => {
    const limits = new ClientLimits(config.rateLimit, dependencies.clock);
    guarded.addHook('onRequest', nameClient(config, dependencies.clock));
    guarded.addHook('onRequest', limitRate(limits, dependencies.metrics));
    boundBodies(guarded as App, config, dependencies.metrics);
    guarded.addHook('preValidation', noteModel(dependencies.models));
    if (config.unknownFields === 'ignore') ignoreUnknownFields(guarded as App);
    guarded.addHook('onRoute', (route) => {
      documentErrors(route, 401, 429);
      route.schema = { ...route.schema, security: [{ apiKey: [] }, { apiKeyHeader: [] }] };
    });
    for (const route of [
      completionsRoute,
      chatCompletionsRoute,
      embeddingsRoute,
      responsesRoutes,
      listModelsRoute,
      getModelRoute,
      tokenizeRoute,
      detokenizeRoute,
      tokenizerInfoRoute,
      adminRoutes,
    ]) {
      route(guarded as App, dependencies, limits);
    }
  });
  return app;
}
