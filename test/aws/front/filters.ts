/**
 * Filters of EC2's lists: all filters must match, by any of their values, in which `*` and `?` are wildcards.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html
 */
import { Ec2Refusal } from './query-protocol.ts';
import type { Filters, Tag } from './requests.ts';

/** What filters may ask of a resource, by the filter's name. */
export type Filterable = Readonly<Record<string, string | readonly string[] | undefined>>;

export function matches(filters: Filters, tags: readonly Tag[], fields: Filterable): boolean {
  return filters.every(({ Name, Value }) => {
    const have = valuesOf(Name, tags, fields);
    return Value.some((wanted) => have.some((each) => like(wanted).test(each)));
  });
}

function valuesOf(name: string, tags: readonly Tag[], fields: Filterable): readonly string[] {
  if (name === 'tag-key') return tags.map(({ Key }) => Key);
  if (name.startsWith('tag:'))
    return tags.filter(({ Key }) => Key === name.slice(4)).map(({ Value }) => Value);
  if (!(name in fields)) throw new Ec2Refusal('InvalidParameterValue', `The filter '${name}' is invalid`);
  return [fields[name] ?? []].flat();
}

function like(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 's');
}
