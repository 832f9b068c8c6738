/** Progress as read from what aws-cdk 2.1148.1 really said (testdata/), and from lines that it might say. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { advanceProgress, type CdkProgress, noProgress, progressRows } from './cdk-progress.ts';

const linesOf = (name: string) =>
  readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8').split('\n');
const after = (lines: readonly string[]): CdkProgress => lines.reduce(advanceProgress, noProgress);

describe('advanceProgress', () => {
  it('follows a deployment through its phases to its end', () => {
    const phases = new Set<string>();
    let progress = noProgress;
    for (const line of linesOf('deploy.txt')) {
      progress = advanceProgress(progress, line);
      phases.add(progress.phase);
    }
    expect([...phases]).toEqual(['synthesis', 'assets', 'resources']);
    expect(progress).toMatchObject({ done: 3, total: 4, failures: [] });
    expect([...progress.busy]).toEqual([]);
    expect([...progress.finished]).toEqual(['Q', 'Admin']);
  });

  it('keeps what failed, in the words of CloudFormation', () => {
    expect(after(linesOf('deploy-fails.txt')).failures).toEqual(["X: 'int' object is not iterable"]);
  });

  it('counts a deletion, of which the CLI knows no total', () => {
    const progress = after(linesOf('destroy.txt'));
    expect(progress).toMatchObject({ phase: 'resources', done: 3, failures: [] });
    expect(progress.total).toBeUndefined();
  });

  it('knows what is waited for, whichever way events of one moment are ordered', () => {
    const line = (status: string, id: string) =>
      `Skep |  1/9 | 8:54:26 AM | ${status.padEnd(23)} | Custom::SkepCluster | ${id} (${id}F00) `;
    const lines = [
      line('CREATE_IN_PROGRESS', 'Cluster/Image'),
      line('CREATE_COMPLETE', 'Cluster/Role'),
      line('CREATE_IN_PROGRESS', 'Cluster/Role'),
      line('CREATE_IN_PROGRESS', 'Cluster/Running'),
    ];
    expect([...after(lines).busy.keys()]).toEqual(['Cluster/Image', 'Cluster/Running']);
    const later = after([...lines, line('CREATE_COMPLETE', 'Cluster/Image')]);
    expect(progressRows(later)).toEqual([
      {
        label: 'resources',
        fraction: 1 / 9,
        detail: '1 of 9, waits for Cluster/Running (Custom::SkepCluster)',
      },
    ]);
  });

  it.each([
    '',
    'Outputs:',
    'Skep.QueueUrl = http://127.0.0.1/q | 1/2 | x',
    'some | thing | new',
    '✨  Total time: 12.38s',
  ])('lets %j pass', (line) => {
    expect(advanceProgress(noProgress, line)).toBe(noProgress);
  });

  it('has no bar before CloudFormation says how much there is', () => {
    expect(progressRows(noProgress)).toEqual([
      { label: 'template', fraction: undefined, detail: 'in progress' },
    ]);
  });
});
