/**
 * Sizes, rates and times as people write them in scenarios: `64 MiB`, `10 Mbit/s`, `250ms`. Each schema takes
 * text and gives the number that the rest of the contract counts in: bytes, bytes per second, milliseconds.
 */
import * as z from 'zod';

const byteUnits: Readonly<Record<string, number>> = {
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const bitUnits: Readonly<Record<string, number>> = {
  'bit/s': 1 / 8,
  'kbit/s': 1e3 / 8,
  'Mbit/s': 1e6 / 8,
  'Gbit/s': 1e9 / 8,
};
const rateUnits: Readonly<Record<string, number>> = {
  ...bitUnits,
  ...Object.fromEntries(Object.entries(byteUnits).map(([unit, bytes]) => [`${unit}/s`, bytes])),
};
const timeUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

const sizeSentence = 'Write a size as in 64 MiB, 1.5 GB or 16384 (bytes).';
const rateSentence = 'Write a rate as in 10 Mbit/s, 500 kB/s or 1250000 (bytes a second).';
const timeSentence = 'Write a time with its unit, as in 250ms, 1.5s, 2m or 1h.';

/** Bytes: `64 MiB`, `1.5 GB`, or a number. */
export const Size = z
  .union([z.int().min(0, sizeSentence), amount(byteUnits, sizeSentence)], { error: sizeSentence })
  .describe('A size: a number of bytes, or text as in 64 MiB or 1.5 GB.');

/** Bytes per second: `10 Mbit/s`, `500 kB/s`, or a number. */
export const Rate = z
  .union([z.number().min(0, rateSentence), amount(rateUnits, rateSentence)], { error: rateSentence })
  .describe('A rate: a number of bytes a second, or text as in 10 Mbit/s or 500 kB/s.');

/** Milliseconds: `250ms`, `1.5s`, `2m`, `1h`. A number alone does not say its unit, and is refused unless it is 0. */
export const Duration = z
  .union([z.literal(0), amount(timeUnits, timeSentence)], { error: timeSentence })
  .describe('A time, with its unit: 250ms, 1.5s, 2m, 1h.');

/** Either way, for what may be negative: `-30s`. */
export const SignedDuration = z
  .union([z.literal(0), amount(timeUnits, timeSentence, '-?')], { error: timeSentence })
  .describe('A time, with its unit, perhaps negative: 30s, -2m.');

/** Text of a number and one of the units, as a schema that gives the number in the base unit, rounded. */
function amount(units: Readonly<Record<string, number>>, sentence: string, sign = '') {
  const names = Object.keys(units).join('|');
  const pattern = new RegExp(`^(${sign}\\d{1,15}(?:\\.\\d{1,6})?) ?(${names})$`);
  return z
    .string()
    .regex(pattern, sentence)
    .transform((text) => {
      const [, number, unit] = pattern.exec(text) ?? [];
      return Math.round(Number(number) * (units[unit ?? ''] ?? Number.NaN));
    });
}
