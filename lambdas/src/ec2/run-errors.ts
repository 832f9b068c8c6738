/** What EC2's refusals of RunInstances mean, told apart by their codes: a table, and nothing else. */
import type { RunOutcome } from './instances.ts';

type Refusal = Exclude<RunOutcome['kind'], 'instance'>;

/** https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
const meanings: Readonly<Record<string, Refusal>> = {
  IdempotentInstanceTerminated: 'terminated',
  IdempotentParameterMismatch: 'mismatch',

  InsufficientCapacity: 'no-capacity',
  InsufficientInstanceCapacity: 'no-capacity',
  InsufficientHostCapacity: 'no-capacity',
  InsufficientReservedInstanceCapacity: 'no-capacity',
  InsufficientVolumeCapacity: 'no-capacity',
  InstanceLimitExceeded: 'no-capacity',
  MaxSpotInstanceCountExceeded: 'no-capacity',
  SpotMaxPriceTooLow: 'no-capacity',
  Unsupported: 'no-capacity',
  VcpuLimitExceeded: 'no-capacity',
  VolumeLimitExceeded: 'no-capacity',

  InsufficientFreeAddressesInSubnet: 'no-free-address',
  'InvalidIPAddress.InUse': 'no-free-address',
  NetworkInterfaceLimitExceeded: 'no-free-address',
  PrivateIpAddressLimitExceeded: 'no-free-address',

  EC2ThrottledException: 'throttled',
  RequestLimitExceeded: 'throttled',
  RequestThrottled: 'throttled',
  Throttling: 'throttled',
  ThrottlingException: 'throttled',

  // A server that failed, or says that it is busy, may have begun.
  Internal: 'unknown',
  InternalError: 'unknown',
  InternalFailure: 'unknown',
  ServerInternal: 'unknown',
  ServiceUnavailable: 'unknown',
  Unavailable: 'unknown',
};

/** `httpStatus` is missing where no answer came. Only what EC2 blames on the call is certain not to be carried out. Pure. */
export function meaningOf(code: string, httpStatus = 0): Refusal {
  return meanings[code] ?? (httpStatus >= 400 && httpStatus < 500 ? 'refused' : 'unknown');
}
