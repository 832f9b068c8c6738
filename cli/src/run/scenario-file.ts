/** A scenario's file: YAML to a plan, or sentences that point at lines. */
import { Scenario, type ScenarioIssue, type ScenarioPlan, scenarioIssues } from '@skep/contract';
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { exitCodes } from '../exit-codes.ts';
import { CliError } from '../failure.ts';

export const mostScenarioBytes = 1_000_000;
/** A small file must not unfold to a huge one. */
const mostAliases = 20;
const mostShown = 5;

/** Parses and checks. Throws CliError `bad-scenario`, which names file, line and field. */
export function parseScenario(path: string, bytes: Uint8Array): ScenarioPlan {
  const lines = new LineCounter();
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw bad(`${path} is not text in UTF-8.`);
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) throw bad(`${path}:${lines.linePos(error.pos[0]).line}: ${error.message}.`);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: mostAliases });
  } catch {
    throw bad(`${path} has more aliases than ${mostAliases}: write them out.`);
  }
  const parsed = Scenario.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const issues = scenarioIssues(parsed.error);
  const shown = issues.slice(0, mostShown).map((issue) => describeIssue(path, document, lines, issue));
  if (issues.length > shown.length) shown.push(`And ${issues.length - shown.length} more.`);
  throw bad(shown.join(' '));
}

function describeIssue(path: string, document: Document, lines: LineCounter, issue: ScenarioIssue): string {
  const offset = offsetOf(document, issue.path);
  const place = offset === undefined ? path : `${path}:${lines.linePos(offset).line}`;
  return `${place}: ${issue.path.length === 0 ? '' : `${dotted(issue.path)}: `}${issue.message}`;
}

/** Where a field is named, or the innermost thing around it that is there. */
function offsetOf(document: Document, path: readonly (string | number)[]): number | undefined {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0];
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
      if (pair === undefined) break;
      if (isScalar(pair.key)) offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

/** `timeline[2].fault.nodes` */
function dotted(path: readonly (string | number)[]): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${part}`))
    .join('');
}

function bad(message: string): CliError {
  return new CliError('bad-scenario', exitCodes.usage, message);
}
