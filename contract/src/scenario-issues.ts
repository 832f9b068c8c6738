/** From what zod finds wrong in a scenario to a field and a sentence for whoever wrote it. */
import type * as z from 'zod';
import { inSpokenWords, spokenField } from './spoken.ts';

export interface ScenarioIssue {
  /** Of the field, in the words of the file; empty for the whole. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** In the order of the fields, one a finding. */
export function scenarioIssues(error: z.ZodError): ScenarioIssue[] {
  return error.issues.flatMap((issue) => {
    const found = deepest(issue);
    const path = found.path.map((part) => (typeof part === 'number' ? part : String(part)));
    return found.code === 'unrecognized_keys'
      ? found.keys.map((key) => ({ path: [...path, key], message: unknownField(key) }))
      : [{ path, message: sentence(found) }];
  });
}

type Issue = z.core.$ZodIssue;

/** Of a field that may take several forms, what is wrong with the form that came closest, if one did. */
function deepest(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.message !== 'Invalid input') return issue;
  const inner = issue.errors.flat().map((each) => deepest(each));
  const [best] = inner.sort((one, other) => other.path.length - one.path.length);
  const isClear = best !== undefined && (best.path.length > 0 || inner.length === 1);
  if (isClear) return { ...best, path: [...issue.path, ...best.path] } as Issue;
  // None came closer than another: what each of them wants.
  const wanted = [...new Set(inner.map(({ message }) => message))].join(' Or: ');
  return { ...issue, message: wanted } as Issue;
}

function sentence(found: Issue): string {
  switch (found.code) {
    case 'invalid_type':
      return found.input === undefined && found.message.includes('received undefined')
        ? 'This must be given.'
        : capital(found.message.replace(/^Invalid input: /, ''));
    case 'invalid_union':
      return found.errors.flat().some(({ message }) => message.includes('received undefined'))
        ? `This must be given. ${capital(found.message)}`
        : capital(found.message);
    case 'too_small':
    case 'too_big':
      return limitSentence(found);
    default:
      return capital(found.message.replace(/^Invalid (input|string): /, ''));
  }
}

function limitSentence(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const counted = issue.origin === 'string' ? ' characters' : issue.origin === 'array' ? ' entries' : '';
  return issue.code === 'too_small'
    ? `The least is ${issue.minimum}${counted}.`
    : `The most is ${issue.maximum}${counted}.`;
}

function unknownField(key: string): string {
  const { name } = spokenField(key);
  return name === key
    ? `There is no field ${key} here.`
    : `There is no field ${key} here: write ${name}, and the unit with the value.`;
}

/** A sentence, in the words of the file. Names of fields and nodes keep their first letter. */
function capital(message: string): string {
  const text = inSpokenWords(message);
  const whole = /^[a-z]+[ ,]/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
