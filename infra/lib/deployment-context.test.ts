/** What the command line and spec files may say, and what becomes of it; what is wrong is told before anything is made. */
import { describe, expect, it } from 'vitest';
import { readDeployment } from './deployment-context.ts';

const noFile = () => {
  throw new Error('no file is to be read');
};
const files = (texts: Record<string, string>) => (path: string) => texts[path] ?? noFile();

describe('the context', () => {
  it('asks for a cluster of the defaults when it says nothing', () => {
    expect(readDeployment({ 'aws:cdk:enable-path-metadata': true, '@aws-cdk/core:x': true }, noFile)).toEqual(
      {
        stackName: 'Skep',
        props: { cluster: {} },
      },
    );
  });

  it('reads the text of a command line', () => {
    const context = {
      stack: 'Bees',
      bootstrap: '5',
      peers: '20',
      zones: 'eu-central-1a, eu-central-1b',
      instanceTypes: 'c7g.large,m7g.large',
      spot: 'peer,index',
      expiresAt: '2027-01-31T18:00:00+01:00',
      domain: '{"name":"bees.example.org","certificateArn":"arn:aws:acm:eu-central-1:1:certificate/1"}',
    };
    expect(readDeployment(context, noFile)).toEqual({
      stackName: 'Bees',
      props: {
        cluster: {
          bootstrap: 5,
          peers: 20,
          placement: {
            zones: ['eu-central-1a', 'eu-central-1b'],
            instanceTypes: ['c7g.large', 'm7g.large'],
          },
        },
        spotRoles: ['peer', 'index'],
        expiresAt: '2027-01-31T18:00:00+01:00',
        domain: { name: 'bees.example.org', certificateArn: 'arn:aws:acm:eu-central-1:1:certificate/1' },
      },
    });
  });

  it.each([
    ['true', ['bootstrap', 'index', 'peer']],
    [true, ['bootstrap', 'index', 'peer']],
    ['false', undefined],
  ])('takes spot=%s for the machines of %j', (spot, roles) => {
    expect(readDeployment({ spot }, noFile).props.spotRoles).toEqual(roles);
  });

  it('asks for the platform alone with cluster=false', () => {
    expect(readDeployment({ cluster: 'false' }, noFile).props.cluster).toBe(false);
  });

  it('takes the spec of a file, and lets single keys override it', () => {
    const file = 'name: bees\npeers: 4\ngraceMs: 9000\nplacement: { instanceTypes: [c7g.large] }\n';
    const context = { spec: 'bees.yaml', peers: '8', zones: 'eu-central-1a' };
    expect(readDeployment(context, files({ 'bees.yaml': file })).props.cluster).toEqual({
      name: 'bees',
      peers: 8,
      graceMs: 9_000,
      placement: { instanceTypes: ['c7g.large'], zones: ['eu-central-1a'] },
    });
  });

  it('takes a range for its own network', () => {
    expect(readDeployment({ cidr: '10.90.0.0/16' }, noFile).props.cidr).toBe('10.90.0.0/16');
  });

  it('takes a given network', () => {
    const network = {
      vpcId: 'vpc-1',
      nodeSubnets: [{ subnetId: 'subnet-1', zone: 'eu-central-1a', cidr: '10.0.0.0/24' }],
      controlSubnets: [{ subnetId: 'subnet-2', zone: 'eu-central-1a' }],
    };
    expect(readDeployment({ network }, noFile).networkAttributes).toEqual(network);
    expect(readDeployment({ network: JSON.stringify(network) }, noFile).networkAttributes).toEqual(network);
  });

  it.each([
    [{ peer: '5' }, 'peer'],
    [{ bootstrap: 'three' }, 'context is not as it must be: bootstrap'],
    [{ bootstrap: '0' }, 'bootstrap'],
    [{ stack: 'my stack' }, 'letters, digits and dashes'],
    [{ expiresAt: 'tomorrow' }, 'must be a time as 2027-01-31T18:00:00Z'],
    [{ spot: 'leech' }, 'spot'],
    [{ architecture: 'riscv' }, 'architecture'],
    [{ cidr: '10.90.0.0' }, 'cidr'],
    [{ network: '{' }, 'network: is no JSON'],
    [{ domain: { name: 'bees.example.org' } }, 'domain.certificateArn'],
  ])('refuses %j at once', (context, sentence) => {
    expect(() => readDeployment(context, noFile)).toThrow(sentence);
  });

  it.each([
    ['peers: [', 'bees.yaml is no YAML'],
    ['peers: many', 'bees.yaml is not as it must be: peers'],
    ['leeches: 3', 'leeches'],
    ['spares: 1', 'cannot be given another slot'],
    ['- 1', 'bees.yaml is not as it must be'],
  ])('refuses a spec that says %j at once', (text, sentence) => {
    expect(() => readDeployment({ spec: 'bees.yaml' }, files({ 'bees.yaml': text }))).toThrow(sentence);
  });
});
