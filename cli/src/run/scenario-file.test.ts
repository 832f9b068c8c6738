/** The scenarios that ship are good ones; what is wrong in a file is told by its line. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseScenario } from './scenario-file.ts';

const scenarios = join(import.meta.dirname, '../../../scenarios');
const parse = (text: string) => () => parseScenario('s.yaml', new TextEncoder().encode(text));

describe('scenario files', () => {
  it.each(readdirSync(scenarios).filter((name) => name.endsWith('.yaml')))(
    '%s is one, named after its file',
    (file) => {
      const plan = parseScenario(file, readFileSync(join(scenarios, file)));
      expect(`${plan.name}.yaml`).toBe(file);
      expect(plan.description).toBeDefined();
    },
  );

  it.each([
    ['name: a\nexpect: [', /^s\.yaml:2: /],
    ['name: ab\nexpect: {}\n', /^s\.yaml:2: expect: A scenario that expects nothing/],
    ['name: ab\n', /^s\.yaml:1: expect: This must be given|^s\.yaml:1: expect: /],
    ['name: ab\nname: ac\n', /^s\.yaml:2: .*unique/],
    ['', /^s\.yaml: .*name/],
    ['- a\n- b\n', /^s\.yaml:1: /],
    [
      'name: ab\nexpect:\n  healed:\n    within: 1m\ntimeline:\n  - at: 1s\n    fault: { kind: crash,\n      nodes: peer-77 }\n',
      /^s\.yaml:8: timeline\[0\]\.fault\.nodes: There is no peer-77/,
    ],
    [`a: &a [x]\nb: [${'*a, '.repeat(60)}*a]\nc: &c [*a]\n`, /^s\.yaml/],
  ])('%#: is refused, and says where', (text, sentence) => {
    expect(parse(text)).toThrow(
      expect.objectContaining({ code: 'bad-scenario', message: expect.stringMatching(sentence) }),
    );
  });

  it('is text', () => {
    expect(() => parseScenario('s.yaml', Uint8Array.of(0xff, 0xfe, 0xfd))).toThrow(/UTF-8/);
  });
});
