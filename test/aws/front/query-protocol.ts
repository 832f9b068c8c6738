/**
 * EC2's query protocol: a form of dotted names in, XML out. What a client sends is unfolded into a tree for schemas to
 * read; what is answered is written as a tree, and its names are those of the API's reference.
 * https://docs.aws.amazon.com/ec2/latest/devguide/ec2-query-api.html
 */
import { randomUUID } from 'node:crypto';

/** Text, or a list or structure of them. */
export type Parameters = string | readonly Parameters[] | { readonly [name: string]: Parameters };
/** What is undefined is left out; a list is written as its items. */
export type Answer =
  | string
  | number
  | boolean
  | undefined
  | readonly Answer[]
  | { readonly [name: string]: Answer };

const namespace = 'http://ec2.amazonaws.com/doc/2016-11-15/';

/** A refusal, with its code from https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
export class Ec2Refusal extends Error {
  readonly code: string;
  readonly httpStatus: number;

  constructor(code: string, message: string, httpStatus = 400) {
    super(message);
    this.code = code;
    this.httpStatus = httpStatus;
  }
}

interface Branch {
  [name: string]: string | Branch;
}

/** `Filter.1.Name=a` becomes `{ Filter: [{ Name: 'a' }] }`: structures whose names are numbers are lists. */
export function readForm(body: string): { readonly [name: string]: Parameters } {
  const root: Branch = Object.create(null);
  for (const [path, value] of new URLSearchParams(body)) {
    const names = path.split('.');
    let branch = root;
    for (const name of names.slice(0, -1)) {
      const next = branch[name] ?? Object.create(null);
      if (typeof next === 'string')
        throw new Ec2Refusal('MalformedQueryString', `${path} is both text and structure`);
      branch[name] = next;
      branch = next;
    }
    branch[names.at(-1)!] = value;
  }
  return Object.fromEntries(Object.entries(root).map(([name, each]) => [name, withLists(each)]));
}

function withLists(value: string | Branch): Parameters {
  if (typeof value === 'string') return value;
  const names = Object.keys(value);
  if (names.every((name) => /^\d+$/.test(name))) {
    return names.sort((one, other) => Number(one) - Number(other)).map((name) => withLists(value[name]!));
  }
  return Object.fromEntries(names.map((name) => [name, withLists(value[name]!)]));
}

export function writeAnswer(action: string, content: { readonly [name: string]: Answer }): string {
  const requestId = element('requestId', randomUUID());
  return `<?xml version="1.0" encoding="UTF-8"?><${action}Response xmlns="${namespace}">${requestId}${inside(content)}</${action}Response>`;
}

export function writeRefusal({ code, message }: Ec2Refusal): string {
  const errors = element('Errors', { Error: { Code: code, Message: message } });
  return `<?xml version="1.0" encoding="UTF-8"?><Response>${errors}${element('RequestID', randomUUID())}</Response>`;
}

function element(name: string, value: Answer): string {
  return value === undefined ? '' : `<${name}>${inside(value)}</${name}>`;
}

function inside(value: Answer): string {
  if (value === undefined) return '';
  if (typeof value !== 'object') return escaped(String(value));
  if (isList(value)) return value.map((item) => element('item', item)).join('');
  return Object.entries(value)
    .map(([name, each]) => element(name, each))
    .join('');
}

function isList(value: object): value is readonly Answer[] {
  return Array.isArray(value);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
