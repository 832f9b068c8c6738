import { describe, expect, it } from 'vitest';
import { createBoard, renderRows } from './board.ts';

function listening(isTTY: boolean) {
  const written: string[] = [];
  let time = 0;
  const board = createBoard({
    sink: { write: (text) => written.push(text), isTTY, columns: 60, rows: 10 },
    colour: false,
    now: () => time,
  });
  const pass = (ms: number) => {
    time += ms;
  };
  return { board, written, pass };
}

/** Up over a board of one row, and everything below gone. */
const erase = '\u001b[1A\u001b[0J';
const wrapOff = '\u001b[?7l';
const wrapOn = '\u001b[?7h';
const half = [{ label: 'peer-2', fraction: 0.5, detail: '1.0 MiB/s' }];
const full = [{ label: 'peer-2', fraction: 1, detail: 'verified' }];

describe('the board on a terminal', () => {
  it('redraws in place, at most ten times a second', () => {
    const { board, written, pass } = listening(true);
    board.show(half);
    pass(50);
    board.show(full);
    expect(written).toHaveLength(1);
    pass(50);
    board.show(full);
    expect(written[1]?.slice(0, erase.length)).toBe(erase);
    expect(written[1]?.slice(erase.length)).toContain(`${wrapOff}  peer-2 █`);
    expect(written[1]).toContain(`█ 100%  verified\n${wrapOn}`);
  });

  it('puts lines above itself', () => {
    const { board, written } = listening(true);
    board.show(half);
    board.print('killed');
    expect(written[1]?.slice(0, erase.length)).toBe(erase);
    expect(written[1]?.slice(erase.length).startsWith(`killed\n${wrapOff}  peer-2 `)).toBe(true);
  });

  it('leaves the last state standing when settled', () => {
    const { board, written } = listening(true);
    board.show(half);
    board.show(full);
    board.settle();
    board.show(half);
    expect(written[1]).toContain('100%');
    expect(written[2]?.startsWith(wrapOff)).toBe(true);
  });
});

describe('a board that is taller than the terminal', () => {
  const rows = Array.from({ length: 12 }, (_, i) => ({ label: `peer-${i}`, fraction: 0, detail: '' }));

  it('draws no more lines than it can draw again, and counts the others', () => {
    const { board, written, pass } = listening(true);
    board.show(rows);
    expect(written[0]?.match(/\n/g)).toHaveLength(9);
    expect(written[0]).toMatch(/peer-7 .*\n {2}… and 4 more\n/);
    pass(100);
    board.show(rows);
    expect(written[1]?.startsWith('\u001b[9A')).toBe(true);
  });

  it('shows every row when it is settled', () => {
    const { board, written } = listening(true);
    board.show(rows);
    board.settle();
    expect(written[1]).toContain('peer-11');
  });
});

describe('the board without a terminal', () => {
  it('writes a plain line now and then, and the last state', () => {
    const { board, written, pass } = listening(false);
    board.show(half);
    expect(written).toEqual([]);
    pass(2_000);
    board.show(half);
    expect(written).toEqual(['  peer-2 50% (2.00 s)\n']);
    pass(100);
    board.show(full);
    board.settle();
    expect(written).toEqual(['  peer-2 50% (2.00 s)\n', '  peer-2 100%\n']);
  });
});

describe('rows', () => {
  it('never exceed the width, and align', () => {
    const rows = [...half, { label: 'bootstrap-1', fraction: undefined, detail: 'x'.repeat(200) }];
    for (const width of [40, 60, 120]) {
      const lines = renderRows(rows, width, false);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
      expect(lines[0]?.indexOf('░')).toBeGreaterThan(0);
    }
  });

  it('keep bar and percentage beside a label of any length', () => {
    const long = [{ label: 'n'.repeat(300), fraction: 1, detail: 'verified' }];
    for (const width of [20, 59, 120]) {
      const [line = ''] = renderRows(long, width, false);
      expect(line.length).toBeLessThanOrEqual(width);
      expect(line).toMatch(/n… █{6,} 100%/);
    }
  });

  it('colours only when asked', () => {
    expect(renderRows(full, 60, true)[0]).toContain('\u001b[32m');
    expect(renderRows(full, 60, false)[0]).not.toContain('\u001b');
  });

  it('does not let a name from elsewhere steer the terminal', () => {
    expect(renderRows([{ label: 'a', fraction: 0, detail: '\u001b[2J' }], 60, false)[0]).not.toContain(
      '\u001b',
    );
  });
});
