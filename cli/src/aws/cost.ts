/**
 * What a deployment costs, item by item: plain arithmetic over the price table. Times are hours, amounts US dollars.
 * It is an estimate from above where a choice had to be made: spot instances count as if they were on demand.
 */
import { instancePricePerHour, type PriceTable, regionPrices } from './price-table.ts';

export interface DeploymentSize {
  readonly region: string;
  /** Until its time to live. */
  readonly hours: number;
  readonly controlInstanceType: string;
  /** Nodes by role; those of one role are of one instance type. */
  readonly nodes: readonly NodeGroup[];
  /** Of the root volume of each instance. */
  readonly volumeGiB: number;
  readonly zones: number;
  readonly leaseMs: number;
  /** What every peer is to fetch once; 0 if that is not known. */
  readonly contentBytes: number;
  readonly loadBalancer: boolean;
}

export interface NodeGroup {
  readonly role: string;
  readonly count: number;
  readonly instanceType: string;
}

export interface CostItem {
  readonly what: string;
  /** How many of it, in words. */
  readonly quantity: string;
  readonly perHour: number;
}

export interface OneOffCost {
  readonly what: string;
  readonly quantity: string;
  readonly amount: number;
}

export interface Cost {
  readonly items: readonly CostItem[];
  /** What is paid once, however long it runs. */
  readonly once: readonly OneOffCost[];
  readonly perHour: number;
  readonly perDay: number;
  readonly hours: number;
  /** Hours and what is paid once. */
  readonly untilEnd: number;
}

const secrets = 2;
/** The control API's own life in its table: a heartbeat each 10 s, a look for orders each 2 s. */
const heartbeatsPerHour = 360;
const looksPerHour = 1_800;
/** A leader renews its lease three times in the time that one lasts. */
const renewalsPerLease = 3;
/** Watchdog each minute, reaper every five; a call that finds nothing to do takes about half a second of 512 MB. */
const callsPerHour = 60 + 12;
const secondsPerCall = 0.5;
const memoryGB = 0.5;
const buildMinutes = 5;
const bytesPerGB = 1e9;

/** Throws CliError for a region or instance type that the table does not have. */
export function costOf(table: PriceTable, size: DeploymentSize): Cost {
  const prices = regionPrices(table, size.region);
  const { everywhere, monthHours } = table;
  const groups = size.nodes.filter(({ count }) => count > 0);
  const instances = 1 + groups.reduce((sum, { count }) => sum + count, 0);
  const item = (what: string, count: number, unit: string, unitPerHour: number): CostItem => ({
    what,
    quantity: `${count} × ${unit}`,
    perHour: count * unitPerHour,
  });
  const instance = (what: string, count: number, type: string) =>
    item(what, count, type, instancePricePerHour(table, size.region, type));

  const items: CostItem[] = [
    instance('control API', 1, size.controlInstanceType),
    ...groups.map(({ role, count, instanceType }) => instance(`${role} nodes`, count, instanceType)),
    item(
      'volumes',
      instances,
      `${size.volumeGiB} GiB gp3`,
      (size.volumeGiB * prices.gp3PerGiBMonth) / monthHours,
    ),
    item('public IPv4 addresses', instances, 'address', everywhere.publicIpv4PerHour),
    item('secrets', secrets, 'secret', everywhere.secretPerMonth / monthHours),
    item('private hosted zone', 1, 'zone', everywhere.hostedZonePerMonth / monthHours),
    ...(size.loadBalancer ? [item('load balancer', 1, 'balancer', prices.loadBalancerPerHour)] : []),
    tableRequests(prices.dynamodbPerMillion, size.leaseMs),
    functionCalls(everywhere),
  ];
  const once: OneOffCost[] = [
    {
      what: 'image build',
      quantity: `${buildMinutes} min`,
      amount: buildMinutes * everywhere.buildPerMinute,
    },
    ...trafficBetweenZones(size, everywhere.betweenZonesPerGB),
  ];
  const perHour = sum(items.map((each) => each.perHour));
  return {
    items: items.map((each) => ({ ...each, perHour: rounded(each.perHour) })),
    once: once.map((each) => ({ ...each, amount: rounded(each.amount) })),
    perHour: rounded(perHour),
    perDay: rounded(perHour * 24),
    hours: size.hours,
    untilEnd: rounded(perHour * size.hours + sum(once.map(({ amount }) => amount))),
  };
}

function tableRequests(perMillion: { writes: number; reads: number }, leaseMs: number): CostItem {
  const writes = heartbeatsPerHour + (3_600_000 / leaseMs) * renewalsPerLease;
  const reads = looksPerHour;
  return {
    what: 'DynamoDB requests',
    quantity: `${Math.round(writes)} writes, ${reads} reads an hour`,
    perHour: (writes * perMillion.writes + reads * perMillion.reads) / 1e6,
  };
}

function functionCalls(everywhere: PriceTable['everywhere']): CostItem {
  const { lambdaPerMillionCalls, lambdaPerGBSecond } = everywhere;
  return {
    what: 'watchdog and reaper',
    quantity: `${callsPerHour} calls an hour`,
    perHour: callsPerHour * (lambdaPerMillionCalls / 1e6 + secondsPerCall * memoryGB * lambdaPerGBSecond),
  };
}

/** Peers choose one another without regard to zones, so of what they fetch all but one part in `zones` crosses. */
function trafficBetweenZones(size: DeploymentSize, perGB: number): OneOffCost[] {
  const leeches = Math.max(0, (size.nodes.find(({ role }) => role === 'peer')?.count ?? 0) - 1);
  const crossingGB = (size.contentBytes / bytesPerGB) * leeches * (1 - 1 / size.zones);
  if (crossingGB === 0) return [];
  return [
    { what: 'content between zones', quantity: `${crossingGB.toFixed(1)} GB`, amount: crossingGB * perGB },
  ];
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}

/** To millionths of a dollar: what is below is the arithmetic's own noise. */
function rounded(amount: number): number {
  return Math.round(amount * 1e6) / 1e6;
}
