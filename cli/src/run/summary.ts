/** What a person is told of a run that is over. Pure. */
import type { DownloadSummary, RunRecord } from '@skep/contract';
import { formatBytes, formatDuration } from '../terminal/format.ts';

const marks = { passed: '✓', failed: '✗', 'not-judged': '–' } as const;

export function summaryLines(record: RunRecord): string[] {
  const { scenario, seed, runner, verdict, problem } = record;
  return [
    `${scenario}  ${runner}, seed ${seed}`,
    ...record.downloads.flatMap(downloadLines),
    ...healingLines(record),
    ...record.violations
      .slice(0, 3)
      .map(({ invariant, detail }) => `  broken rule   ${invariant}: ${detail}`),
    ...record.expectations.map(
      ({ expectation, outcome, detail }) => `  ${marks[outcome]} ${expectation.padEnd(12)} ${detail}`,
    ),
    ...(record.traceHash === undefined ? [] : [`  trace         ${record.traceHash}`]),
    ...(problem === undefined ? [] : [`  ${problem}`]),
    verdict,
  ];
}

function downloadLines(download: DownloadSummary): string[] {
  const { content, lengthBytes, leeches, complete, medianMs, p95Ms, lastMs, boundMs } = download;
  const lines = [
    `  ${content.padEnd(13)} ${formatBytes(lengthBytes)}, ${complete} of ${leeches} leeches complete`,
  ];
  if (medianMs === undefined || p95Ms === undefined || lastMs === undefined) return lines;
  lines.push(
    `    downloads   median ${formatDuration(medianMs)}, 95 % ${formatDuration(p95Ms)}, last ${formatDuration(lastMs)}`,
  );
  if (boundMs !== undefined) {
    lines.push(
      `    bound       ${formatDuration(boundMs)}: the last took ${(lastMs / boundMs).toFixed(2)} times that`,
    );
  }
  return lines;
}

function healingLines({ healing }: RunRecord): string[] {
  if (healing === undefined) return [];
  const { faults, healedAfterMs, redeployments } = healing;
  const healed =
    healedAfterMs === undefined
      ? 'not seen whole since'
      : `whole again ${formatDuration(healedAfterMs)} after the last`;
  const many = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;
  return [`  healing       ${many(faults, 'fault')}, ${many(redeployments, 'redeployment')}, ${healed}`];
}
