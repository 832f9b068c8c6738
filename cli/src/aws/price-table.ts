/** The price table that ships with the command line (prices.json): read, checked, and asked for single prices. */
import * as z from 'zod';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';
import data from './prices.json' with { type: 'json' };

const price = z.number().positive();

const PriceTable = z.strictObject({
  /** The day on which it was put together. */
  compiled: z.iso.date(),
  currency: z.literal('USD'),
  source: z.string(),
  /** Hours by which a price per month is divided. */
  monthHours: price,
  /** What a size costs in units of its family's `large`. */
  sizes: z.record(z.string(), price),
  /** The sizes that each family has. */
  families: z.record(z.string(), z.array(z.string())),
  regions: z.record(
    z.string(),
    z.strictObject({
      largePerHour: z.record(z.string(), price),
      gp3PerGiBMonth: price,
      dynamodbPerMillion: z.strictObject({ writes: price, reads: price }),
      loadBalancerPerHour: price,
    }),
  ),
  everywhere: z.strictObject({
    publicIpv4PerHour: price,
    /** Both directions together. */
    betweenZonesPerGB: price,
    secretPerMonth: price,
    hostedZonePerMonth: price,
    lambdaPerMillionCalls: price,
    lambdaPerGBSecond: price,
    buildPerMinute: price,
  }),
});
export type PriceTable = z.infer<typeof PriceTable>;
export type RegionPrices = PriceTable['regions'][string];

export const priceTable: PriceTable = PriceTable.parse(data);

/** Every instance type that has a price, cheapest family first as the table has them. */
export function knownInstanceTypes(table: PriceTable): string[] {
  return Object.entries(table.families).flatMap(([family, sizes]) =>
    sizes.map((size) => `${family}.${size}`),
  );
}

/** Throws CliError, naming the regions there are. */
export function regionPrices(table: PriceTable, region: string): RegionPrices {
  const prices = table.regions[region];
  if (prices !== undefined) return prices;
  const known = Object.keys(table.regions).join(', ');
  throw new CliError(
    'unknown-price',
    exitCodes.usage,
    `The price table has no region ${region}: it has ${known}. Give one of these with --region for an estimate.`,
  );
}

/** USD an hour of one instance on demand. Throws CliError, naming the types there are. */
export function instancePricePerHour(table: PriceTable, region: string, type: string): number {
  const { largePerHour } = regionPrices(table, region);
  const [family = '', size = ''] = type.split('.');
  const large = largePerHour[family];
  const factor = table.families[family]?.includes(size) ? table.sizes[size] : undefined;
  if (large !== undefined && factor !== undefined) return large * factor;
  throw new CliError(
    'unknown-price',
    exitCodes.usage,
    `The price table has no instance type ${type} in ${region}: it has ${knownInstanceTypes(table).join(', ')}.`,
  );
}
