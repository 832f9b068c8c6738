/**
 * The spoken form of a schema: what a program writes as `graceMs: 6000` or `upBytesPerSecond: 1250000`, a person
 * writes as `grace: 6s` and `up: 10 Mbit/s`. Derived from the program's form, so that the two cannot part;
 * parsing gives the program's form, and errors name the fields that the person wrote.
 */
import * as z from 'zod';
import { Duration, Rate, SignedDuration, Size } from './quantities.ts';

/** Suffixes that name a unit, longest first: the spoken name goes without, and the value says the unit itself. */
const suffixes: readonly (readonly [suffix: string, quantity: z.ZodType<number>])[] = [
  ['BytesPerSecond', Rate],
  ['bytesPerSecond', Rate],
  ['Ms', Duration],
];

interface SpokenField {
  readonly name: string;
  readonly quantity: z.ZodType<number> | undefined;
}

/** How a person writes the field: `graceMs` gives `grace`, a time; `bytes` stays, and takes a size. */
export function spokenField(name: string): SpokenField {
  if (name === 'bytes') return { name, quantity: Size };
  if (name === 'skewMs') return { name: 'skew', quantity: SignedDuration };
  for (const [suffix, quantity] of suffixes) {
    if (name === suffix) return { name: 'rate', quantity };
    if (name.endsWith(suffix)) return { name: name.slice(0, -suffix.length), quantity };
  }
  return { name, quantity: undefined };
}

/** The spoken form of `schema`, which gives what `schema` gives. */
export function spoken<S extends z.ZodType>(schema: S): z.ZodType<z.output<S>> {
  return spokenOf(schema, undefined) as z.ZodType<z.output<S>>;
}

function spokenOf(schema: z.ZodType, quantity: z.ZodType<number> | undefined): z.ZodType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return spokenOf(schema.unwrap() as z.ZodType, quantity).optional();
  }
  if (schema instanceof z.ZodNumber) return quantity === undefined ? schema : within(quantity, schema);
  // What was said passes through the program's form too, which has the limits, the refinements and the defaults.
  if (schema instanceof z.ZodObject) return spokenObject(schema).pipe(schema);
  if (schema instanceof z.ZodRecord) {
    const key = schema.keyType as z.ZodString;
    return z.partialRecord(key, spokenOf(schema.valueType as z.ZodType, quantity)).pipe(schema);
  }
  if (schema instanceof z.ZodArray) {
    return z.array(spokenOf(schema.element as z.ZodType, quantity)).pipe(schema);
  }
  if (schema instanceof z.ZodDiscriminatedUnion) {
    const options = schema.options.map((option) => spokenOf(option as z.ZodType, undefined));
    return z.discriminatedUnion(schema.def.discriminator, options as [z.ZodObject, ...z.ZodObject[]]);
  }
  if (schema instanceof z.ZodUnion) {
    return z.union(schema.options.map((option) => spokenOf(option as z.ZodType, quantity)));
  }
  return schema;
}

/** Strict, whatever the program's form is: a misspelt field must not be passed over in silence. */
function spokenObject(object: z.ZodObject): z.ZodType {
  const shape: Record<string, z.ZodType> = {};
  const keys = new Map<string, string>();
  for (const [key, schema] of Object.entries(object.shape) as [string, z.ZodType][]) {
    const { name, quantity } = spokenField(key);
    const said = spokenOf(schema, quantity);
    const description = describe(schema, quantity);
    shape[name] = description === undefined ? said : said.describe(description);
    keys.set(name, key);
  }
  return z.strictObject(shape).transform((given: Record<string, unknown>) => {
    const entries = Object.entries(given).filter(([, value]) => value !== undefined);
    return Object.fromEntries(entries.map(([name, value]) => [keys.get(name)!, value]));
  });
}

/** The quantity, within the limits of the number that it becomes, told in the quantity's own units. */
function within(quantity: z.ZodType<number>, number: z.ZodNumber): z.ZodType<number> {
  return quantity.superRefine((value, context) => {
    for (const issue of number.safeParse(value).error?.issues ?? []) {
      const say = (limit: number | bigint) => sayQuantity(Number(limit), quantity);
      const message =
        issue.code === 'too_small'
          ? `The least is ${say(issue.minimum)}.`
          : issue.code === 'too_big'
            ? `The most is ${say(issue.maximum)}.`
            : issue.message;
      context.addIssue({ code: 'custom', message });
    }
  });
}

function describe(schema: z.ZodType, quantity: unknown): string | undefined {
  const { description } = schema;
  const fallback = schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined;
  if (fallback === undefined || typeof fallback === 'object') return description;
  const shown = typeof fallback === 'number' ? sayQuantity(fallback, quantity) : String(fallback);
  return `${description === undefined ? '' : `${description} `}Default: ${shown}.`;
}

function sayQuantity(value: number, quantity: unknown): string {
  if (quantity === Duration || quantity === SignedDuration) return sayTime(value);
  if (quantity === Rate) return `${value} B/s`;
  return quantity === Size ? `${value} B` : String(value);
}

/** `90000` gives `90s`: the largest unit that takes it whole. */
export function sayTime(ms: number): string {
  if (ms !== 0 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms !== 0 && ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`;
}

/** `say delayMs or lossRate` gives `say delay or lossRate`. */
export function inSpokenWords(message: string): string {
  return message.replace(/\b[a-z][A-Za-z]*(?:Ms|BytesPerSecond)\b/g, (name) => spokenField(name).name);
}
