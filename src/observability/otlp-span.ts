/** A value in OTLP's JSON; 64-bit integers are written as text. */
type AttributeValue =
  | { stringValue: string }
  | { boolValue: boolean }
  | { intValue: string }
  | { doubleValue: number }
  | { arrayValue: { values: AttributeValue[] } };

/** Attributes of a span; a bare number is an integer; null: omitted. */
export type Attributes = Record<
  string,
  string | number | { double: number } | boolean | readonly string[] | null
>;

export const double = (value: number | null): { double: number } | null =>
  value === null ? null : { double: value };

export interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  /** 1: inside the service; 2: the service's answer to a request. */
  kind: 1 | 2;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: AttributeValue }[];
  /** 2: it ended in an error. */
  status: { code?: 2; message?: string };
}

function attributeValue(value: NonNullable<Attributes[string]>): AttributeValue {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number') return { intValue: String(value) };
  if ('double' in value) return { doubleValue: value.double };
  return { arrayValue: { values: value.map((stringValue) => ({ stringValue })) } };
}

export function spanAttributes(attributes: Attributes): OtlpSpan['attributes'] {
  return Object.entries(attributes).flatMap(([key, value]) =>
    value === null ? [] : [{ key, value: attributeValue(value) }],
  );
}

/** Nanoseconds since the epoch for a time in milliseconds; exact to the microsecond. */
export const unixNano = (milliseconds: number): string =>
  String(BigInt(Math.round(milliseconds * 1000)) * 1000n);

/** The body of an export; all spans belong to one service. */
export function resourceSpans(spans: readonly OtlpSpan[], version: string): object {
  const attributes = spanAttributes({ 'service.name': 'altup-serve', 'service.version': version });
  return {
    resourceSpans: [
      { resource: { attributes }, scopeSpans: [{ scope: { name: 'altup-serve', version }, spans }] },
    ],
  };
}
