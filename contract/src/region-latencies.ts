/**
 * How far AWS regions are from each other, as published by cloudping.co, which measures round trips between all of
 * them all the time: the medians (50th percentile) of the year up to July 2025, as
 * https://www.cloudping.co/api/latencies?percentile=p_50&timeframe=1Y gave them and the repository
 * commonwarexyz/monorepo has kept them since 2025-07-17 (examples/estimator/src/p50.json).
 *
 * Both directions of a pair were measured and are averaged here. What it measures is a TCP exchange between Lambda
 * functions, which adds some milliseconds: so a region's own figure is a few ms, where two instances in one zone
 * are below 1 ms apart.
 */

/** Round trips in ms: a row holds those to the regions above it, its own last. */
const roundTripsMs = {
  'af-south-1': [4.5],
  'ap-east-1': [350.3, 2.8],
  'ap-east-2': [256.5, 18.5, 5.6],
  'ap-northeast-1': [357.3, 51.8, 37.1, 2.8],
  'ap-northeast-2': [386.4, 39.2, 65.2, 36.4, 4],
  'ap-northeast-3': [373.9, 46.8, 35.3, 10, 25.3, 2.2],
  'ap-south-1': [272.8, 97.7, 112.3, 133.8, 134.9, 137.9, 3.2],
  'ap-south-2': [294.5, 81.5, 94.4, 118, 118.6, 121.7, 25.6, 8.3],
  'ap-southeast-1': [315.4, 37.4, 51.2, 70.8, 74.1, 77, 64.1, 49.1, 3.7],
  'ap-southeast-2': [408.8, 127.9, 153.9, 106.4, 145.7, 120.5, 154.8, 140.8, 94.8, 4.1],
  'ap-southeast-3': [340, 53.5, 68, 86.6, 89.6, 93.1, 80.5, 64.1, 18.4, 110.9, 2.6],
  'ap-southeast-4': [419.8, 139.7, 165, 131.8, 156.2, 132, 165.8, 150.3, 105.4, 14, 121.8, 2.3],
  'ap-southeast-5': [328.8, 44.2, 57.1, 76.3, 79.3, 82.7, 70.6, 54.6, 9.1, 100.3, 25, 111, 2.1],
  'ap-southeast-7': [348.6, 64.5, 78.3, 99.1, 99.9, 103.2, 91.6, 75.4, 29.9, 122.2, 46.1, 132, 25.2, 3.4],
  'ca-central-1': [
    224.2, 199.7, 182.5, 147.2, 176.3, 152.5, 192, 209.5, 215, 198.2, 232.1, 209.6, 222.2, 243.4, 4,
  ],
  'ca-west-1': [
    292.4, 163, 145.6, 113.2, 140.1, 117.6, 242.5, 226, 177.8, 159.2, 194.4, 170.6, 184.6, 205.6, 49.8, 1.5,
  ],
  'eu-central-1': [
    155.3, 193.5, 208, 227.3, 231.2, 234.1, 129.1, 146.9, 160.8, 251.5, 176.9, 263.2, 166.8, 188.8, 93, 161.7,
    4,
  ],
  'eu-central-2': [
    152.3, 188.2, 204, 221.9, 224.7, 228.7, 115.8, 133.1, 155.3, 246.3, 171.9, 257.5, 161.1, 183.3, 94.1,
    162.6, 9.6, 3.4,
  ],
  'eu-north-1': [
    174.2, 213.1, 227, 246.9, 250.2, 253.4, 148.7, 165.8, 180.6, 271.4, 196.7, 282.7, 186.4, 208.1, 105.6,
    173.7, 23, 28.2, 3.3,
  ],
  'eu-south-1': [
    190.4, 184.2, 200.9, 218, 221.8, 224.9, 110.4, 128.8, 151.5, 242.4, 167.8, 253.9, 157.3, 179.3, 102,
    170.4, 12.6, 7.6, 31.7, 2.8,
  ],
  'eu-south-2': [
    136.3, 198, 203.5, 234.3, 239.4, 241, 120.9, 141.7, 164.8, 270.8, 184, 283.2, 173.2, 194, 110.7, 179.3,
    35.1, 32.4, 55, 27.3, 3.2,
  ],
  'eu-west-1': [
    159.4, 242.5, 235.5, 202.4, 232.9, 208.6, 125.6, 143.3, 178.8, 255.7, 197.7, 266.9, 188.1, 209, 69.2,
    137.1, 27.2, 28.1, 40.3, 36.1, 31.3, 3.2,
  ],
  'eu-west-2': [
    150, 203.7, 245.3, 213, 243.5, 219.1, 117.3, 135.1, 169.7, 266.2, 189.2, 277.8, 179.2, 200.1, 79.3, 147.7,
    17.7, 19.7, 31.3, 27.4, 36, 13.8, 3.3,
  ],
  'eu-west-3': [
    145.6, 199.9, 196.4, 219.5, 249.6, 225.4, 109.1, 126.4, 167.1, 280.3, 184.3, 291, 174.3, 195.6, 85.8,
    154.4, 12.4, 12, 31.9, 21.1, 21.9, 20.1, 11.3, 3.3,
  ],
  'il-central-1': [
    231.1, 240.5, 257.2, 274.9, 277.8, 281.6, 145.9, 162.4, 207.5, 299.3, 224.5, 310.6, 213.8, 235.7, 140.6,
    209.1, 68.4, 46, 88.1, 49.5, 62.9, 74.3, 66, 54.2, 2.8,
  ],
  'me-central-1': [
    284.8, 125.5, 139.9, 169.7, 164.3, 164.3, 30.6, 47.9, 90.6, 181.2, 106.5, 192.1, 95.5, 117.2, 196.8,
    269.5, 116.1, 110.5, 135.9, 106.9, 121.7, 130.7, 122.6, 114.9, 147.1, 3.2,
  ],
  'me-south-1': [
    248.9, 131.3, 146.2, 175.7, 167.8, 171.1, 38.5, 56.3, 98.5, 189.2, 115.2, 200.4, 104.2, 124.7, 162.7,
    256.4, 86.4, 91.4, 105.4, 113.8, 91, 98.2, 89, 86.9, 115.6, 15.6, 2.7,
  ],
  'mx-central-1': [
    282.2, 215.3, 199.6, 168, 196, 172.4, 247.2, 275.1, 242.4, 213.6, 259.4, 224.8, 250.5, 271.9, 72.2, 78,
    149.1, 148.6, 168.4, 158.5, 165.2, 125.7, 133.7, 140.3, 195.7, 252.2, 217.7, 4.5,
  ],
  'sa-east-1': [
    338.1, 312.3, 291.7, 258.6, 289.5, 264.9, 301.4, 318.4, 327.7, 312.2, 345.1, 323.6, 334.6, 356.3, 125.7,
    193.6, 204.5, 203.4, 223.2, 213.4, 219.9, 178.4, 187.1, 195.8, 250.1, 306.2, 273.4, 170.4, 3.3,
  ],
  'us-east-1': [
    226.9, 198.6, 180.8, 149.6, 179.7, 155, 191.1, 206.8, 219.3, 199.7, 235.7, 209.9, 225.4, 247.2, 16.5,
    51.5, 92.9, 91.9, 112.5, 101.7, 107.7, 69.7, 77.7, 84.1, 137.3, 194.4, 161.8, 58.4, 115.3, 5.5,
  ],
  'us-east-2': [
    237.8, 186.7, 169.1, 136, 166.3, 143.6, 202.3, 217.5, 204, 188.3, 221.2, 198.3, 213.5, 232.8, 27.4, 41.1,
    103.7, 102.9, 123.3, 112.5, 118.6, 80.5, 88.5, 94.9, 146.2, 205.1, 172.2, 51.7, 125.7, 15.8, 5.4,
  ],
  'us-west-1': [
    287, 155.3, 142.3, 108.5, 133.7, 109.8, 231.8, 218.1, 170.1, 139.2, 186.8, 150.1, 176.4, 197.6, 79.9, 41,
    153.1, 152.5, 172.7, 162, 169.4, 130, 147.9, 144.4, 199.2, 255.7, 221.6, 74.8, 175, 64.1, 52.8, 2.8,
  ],
  'us-west-2': [
    274.1, 145.3, 131.8, 98.4, 123.7, 99.8, 222.2, 207.6, 160.6, 141.1, 175.4, 151.7, 165.9, 188.2, 60.7,
    21.6, 142.6, 143.4, 155.1, 151.6, 159, 118.4, 128.9, 135.5, 185.9, 257.2, 238.9, 91.8, 174.9, 64.2, 50.8,
    21.8, 3.2,
  ],
} as const satisfies Readonly<Record<string, readonly number[]>>;

export type AwsRegion = keyof typeof roundTripsMs;

/** The regions that figures are known of, sorted by name. */
export const awsRegions = Object.keys(roundTripsMs) as readonly AwsRegion[];

const ordinals: ReadonlyMap<string, number> = new Map(awsRegions.map((region, ordinal) => [region, ordinal]));

export function isAwsRegion(name: string): name is AwsRegion {
  return ordinals.has(name);
}

/**
 * One way between machines in two regions, or in one, in ms: half of the round trip. Throws RangeError where a
 * region is none of `awsRegions`.
 */
export function regionLatencyMs(one: string, other: string): number {
  const [low, high] = [ordinalOf(one), ordinalOf(other)].sort((a, b) => a - b) as [number, number];
  const row: readonly number[] = roundTripsMs[awsRegions[high]!];
  return row[low]! / 2;
}

function ordinalOf(region: string): number {
  const ordinal = ordinals.get(region);
  if (ordinal === undefined)
    throw new RangeError(`no latencies are known of ${region}; choose one of ${awsRegions.join(', ')}`);
  return ordinal;
}
