import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, formatPercent, formatRate, formatTable, printable } from './format.ts';

describe('formats', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [102_400, '100 KiB'],
    [1_048_576, '1.0 MiB'],
    [125_829_120, '120 MiB'],
    [1_073_741_824, '1.0 GiB'],
    [-5, '0 B'],
  ])('writes %d bytes as %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it('writes rates', () => expect(formatRate(2_097_152)).toBe('2.0 MiB/s'));

  it.each([
    [0, '0 ms'],
    [999, '999 ms'],
    [999.6, '1.00 s'],
    [1234, '1.23 s'],
    [12_340, '12.3 s'],
    [59_980, '1 min 00 s'],
    [61_000, '1 min 01 s'],
    [3_600_000, '1 h 00 min'],
    [7_260_000, '2 h 01 min'],
  ])('writes %d ms as %s', (ms, text) => expect(formatDuration(ms)).toBe(text));

  it('says 100% of nothing that is incomplete', () => {
    expect(formatPercent(0.9999)).toBe('99%');
    expect(formatPercent(1)).toBe('100%');
    expect(formatPercent(-1)).toBe('0%');
  });

  it('takes escape sequences out of what others wrote', () => {
    expect(printable('a\u001b[2Jb\u202ec\n')).toBe('a\ufffd[2Jb\ufffdc\ufffd');
  });

  it('lays out tables', () => {
    expect(
      formatTable(
        ['A', 'B'],
        [
          ['long', 'x'],
          ['s', 'yy'],
        ],
      ),
    ).toEqual(['A     B', 'long  x', 's     yy']);
  });
});
