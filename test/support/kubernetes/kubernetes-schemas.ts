import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import type { Manifest } from './manifest.ts';

type Schema = Record<string, unknown>;

interface CustomResourceDefinition {
  spec: {
    group: string;
    names: { kind: string };
    versions: { name: string; schema: { openAPIV3Schema: Schema } }[];
  };
}

export const kubernetesVersions = ['v1.30.0', 'v1.33.0', 'v1.37.0'] as const;
export type KubernetesVersion = (typeof kubernetesVersions)[number];

/** Checks objects as an API server would, as far as schemas allow: unknown fields are errors. */
export class KubernetesSchemas {
  readonly #folder: string;
  readonly #validators = new Map<string, ValidateFunction>();

  /** @param folder the files that scripts/get-kubernetes-tools.sh fetched */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The errors in an object; empty if it is valid. @throws Error when its kind has no schema */
  complaints(manifest: Manifest, version: KubernetesVersion): string[] {
    const validate = this.#validator(manifest, version);
    if (validate(manifest)) return [];
    return validate.errors!.map(({ instancePath, message, params }) =>
      [instancePath, message, JSON.stringify(params)].join(' '),
    );
  }

  #validator({ apiVersion, kind }: Manifest, version: KubernetesVersion): ValidateFunction {
    const key = `${version} ${apiVersion} ${kind}`;
    const known = this.#validators.get(key);
    if (known) return known;
    const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
    const [version_, group] = apiVersion.split('/').reverse();
    // The schemas' files have names such as networkpolicy-networking-v1.json.
    const name = [kind.toLowerCase(), group?.split('.')[0], version_].filter(Boolean).join('-');
    const file = join(this.#folder, version, `${name}.json`);
    const schema = existsSync(file) ? this.#builtIn(ajv, file, version) : this.#custom(apiVersion, kind);
    const validator = ajv.compile(schema);
    this.#validators.set(key, validator);
    return validator;
  }

  #builtIn(ajv: Ajv2020, file: string, version: string): Schema {
    const definitions = JSON.parse(readFileSync(join(this.#folder, version, '_definitions.json'), 'utf8'));
    ajv.addSchema(definitions, '_definitions.json');
    return JSON.parse(readFileSync(file, 'utf8'));
  }

  #custom(apiVersion: string, kind: string): Schema {
    for (const file of globSync(join(this.#folder, 'crds/*.yaml'))) {
      const { spec } = parse(readFileSync(file, 'utf8')) as CustomResourceDefinition;
      const version = spec.versions.find(({ name }) => `${spec.group}/${name}` === apiVersion);
      if (version && spec.names.kind === kind) return closed(version.schema.openAPIV3Schema);
    }
    throw new Error(`there is no schema of ${apiVersion} ${kind}`);
  }
}

/** The same schema without additional properties in its objects. Kubernetes itself checks `metadata`. */
function closed(schema: Schema, isRoot = true): Schema {
  const open = schema['x-kubernetes-preserve-unknown-fields'] === true;
  const result: Schema = { ...schema };
  // Kubernetes' type for an integer or a string; in JSON Schema it would be a choice of types.
  if (schema['x-kubernetes-int-or-string']) delete result.type;
  // Go's syntax for ignoring case.
  const { pattern } = schema;
  if (typeof pattern === 'string' && pattern.includes('(?i)')) {
    result.pattern = `(?i:${pattern.replace('(?i)', '')})`;
  }
  if (schema.properties) {
    const entries = Object.entries(schema.properties as Record<string, Schema>).map(
      ([name, property]) => [name, isRoot && name === 'metadata' ? {} : closed(property, false)] as const,
    );
    result.properties = Object.fromEntries(entries);
    if (!open && schema.additionalProperties === undefined) result.additionalProperties = false;
  }
  if (schema.items) result.items = closed(schema.items as Schema, false);
  if (typeof schema.additionalProperties === 'object') {
    result.additionalProperties = closed(schema.additionalProperties as Schema, false);
  }
  return result;
}
