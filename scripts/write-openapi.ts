import { writeFileSync } from 'node:fs';
import { openapiDocument } from '../test/support/openapi-document.ts';

const file = new URL('../openapi/openapi.json', import.meta.url);
writeFileSync(file, await openapiDocument());
