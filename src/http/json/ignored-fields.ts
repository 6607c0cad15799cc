import type { App } from '../server-dependencies.ts';

export const ignoredFieldsHeader = 'X-Ignored-Fields';

/** Bounds of the header. */
const maxNames = 16;
const maxNameLength = 64;

/** The keywords that say which members an object has. */
interface Schema {
  type?: string | readonly string[];
  properties?: Record<string, Schema>;
  additionalProperties?: unknown;
  /** The route itself refuses other members. */
  'x-closed'?: boolean;
  items?: Schema;
  anyOf?: readonly Schema[];
  oneOf?: readonly Schema[];
  allOf?: readonly Schema[];
}

/** Removes the unknown members of a value, and reports where each one was. */
type Remove = (value: unknown, path: string, report: (path: string) => void) => void;

/** Removes fields that a route's schema does not know from its bodies, and names them in a header of the answer. */
export function ignoreUnknownFields(app: App): void {
  app.addHook('onRoute', (route) => {
    const remove = removal([(route.schema?.body ?? {}) as Schema]);
    if (remove === null) return;
    const names = (body: unknown) => {
      const found = new Set<string>();
      remove(body, '', (path) => found.size <= maxNames && found.add(path));
      return [...found];
    };
    const hook: typeof route.preValidation = async (request, reply) => {
      const ignored = names(request.body);
      if (ignored.length > 0) reply.header(ignoredFieldsHeader, listed(ignored));
    };
    route.preValidation = [route.preValidation ?? [], hook].flat();
  });
}

const listed = (names: readonly string[]) =>
  [
    ...names.slice(0, maxNames).map((name) => name.slice(0, maxNameLength).replace(/[^\w.[\]$-]/g, '?')),
    ...(names.length > maxNames ? ['...'] : []),
  ].join(', ');

/** A closed schema names all its members, so its `allOf` can only restrict them. */
const alternatives = (schema: Schema): Schema[] => [
  schema,
  ...[schema.anyOf, schema.oneOf, schema.additionalProperties === false ? [] : schema.allOf].flatMap(
    (parts) => (parts ?? []).flatMap(alternatives),
  ),
];

/**
 * A member is unknown if no alternative names it, and all of them are closed.
 * @returns null if there is nothing to remove from any value of these schemas
 */
function removal(schemas: readonly Schema[]): Remove | null {
  if (schemas.length === 0) return null;
  const parts = schemas.flatMap(alternatives);
  const objects = parts.filter((part) => part.properties || [part.type].flat().includes('object'));
  const isClosed =
    objects.length > 0 &&
    objects.every((part) => part.additionalProperties === false || part['x-closed'] === true);
  const names = new Set(objects.flatMap(({ properties }) => Object.keys(properties ?? {})));
  const members = new Map(
    [...names].map((name) => [name, removal(objects.flatMap(({ properties }) => properties?.[name] ?? []))]),
  );
  const ofItems = removal(parts.flatMap(({ items }) => items ?? []));
  if (!isClosed && ofItems === null && [...members.values()].every((member) => member === null)) return null;
  return (value, path, report) => {
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      if (ofItems) for (const item of value) ofItems(item, `${path}[]`, report);
      return;
    }
    const object = value as Record<string, unknown>;
    for (const name of Object.keys(object)) {
      const inside = path === '' ? name : `${path}.${name}`;
      if (members.has(name)) members.get(name)?.(object[name], inside, report);
      else if (isClosed) {
        delete object[name];
        report(inside);
      }
    }
  };
}
