import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { responseFields } from '../../src/http/responses/responses-request.ts';
import { fakeServer } from '../support/fake-server.ts';
import { readDoc, tableRows } from '../support/markdown-table.ts';
import { openapiDocument } from '../support/openapi-document.ts';

interface Operation {
  operationId?: string;
  summary?: string;
  security?: object[];
  requestBody?: { content: Record<string, { example?: object }> };
  responses: Record<string, { description: string }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

const text = await openapiDocument();
const document: Document = JSON.parse(text);
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    name: `${method.toUpperCase()} ${path}`,
    ...operation,
  })),
);

it('openapi/openapi.json is what `npm run openapi` writes', () => {
  expect(readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8')).toBe(text);
});

it('is OpenAPI 3.1 and refers only to what it has', () => {
  expect(document.openapi).toBe('3.1.0');
  const references = [...text.matchAll(/"\$ref": "([^"]+)"/g)].map(([, reference]) => reference!);
  expect(references.length).toBeGreaterThan(10);
  for (const reference of references) {
    expect(reference).toMatch(/^#\/components\/schemas\/\w+$/);
    expect(document.components.schemas).toHaveProperty(reference.split('/').at(-1)!);
  }
});

it('has every route of the server, and no other', async () => {
  const { app } = fakeServer();
  const routes: string[] = [];
  app.addHook('onRoute', ({ method, url, schema }) => {
    if (schema?.hide) return;
    for (const name of [method].flat())
      if (name !== 'HEAD') routes.push(`${name} ${url.replace(/:(\w+)/g, '{$1}')}`);
  });
  await app.ready();
  const listed = routes.filter((route) => !route.startsWith('GET /docs'));
  expect(operations.map(({ name }) => name).sort()).toEqual(listed.sort());
});

it('docs/api.md has every route, and no other', () => {
  const headings = [...readDoc('api.md').matchAll(/^## (.*)$/gm)].map(([, heading]) => heading!);
  expect(headings.sort()).toEqual([...operations.map(({ name }) => name), 'GET /docs'].sort());
});

it('docs/api.md describes every field of responses that has an effect', () => {
  const rows = Object.entries(responseFields as Record<string, { description?: string }>);
  expect(tableRows(readDoc('api.md'), ['field of responses', 'meaning'])).toEqual(
    rows.map(([name, { description }]) => [`\`${name}\``, description]),
  );
});

describe.each(operations)('$name', ({ operationId, summary, security, requestBody, responses }) => {
  const statuses = Object.keys(responses);

  it('is named and described, with its answers', () => {
    expect(operationId).toMatch(/^[a-z]\w+$/i);
    expect(summary).toBeTruthy();
    for (const { description } of Object.values(responses)) expect(description).toBeTruthy();
  });

  it('documents the statuses its kind can have', () => {
    expect(statuses).toContain('200');
    if (security) expect(statuses).toContain('401');
    if (requestBody) expect(statuses).toEqual(expect.arrayContaining(['400', '413']));
  });

  if (requestBody) {
    it('shows a body', () => {
      expect(requestBody.content['application/json']!.example).toBeDefined();
    });
  }
});

it('gives each operation an id of its own', () => {
  const ids = operations.map(({ operationId }) => operationId);
  expect(new Set(ids).size).toBe(ids.length);
});

it('shows request bodies that the server takes', async () => {
  const { app } = fakeServer();
  for (const [path, { post }] of Object.entries(document.paths)) {
    const example = post?.requestBody?.content['application/json']?.example;
    if (!example) continue;
    const payload = { ...example, model: 'tiny', ...('prompt' in example ? { prompt: 'It' } : {}) };
    const response = await app.inject({ method: 'POST', url: path, payload });
    expect([path, response.statusCode]).toEqual([path, 200]);
  }
});
