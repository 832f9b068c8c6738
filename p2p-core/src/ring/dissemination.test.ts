import { describe, expect, it } from 'vitest';
import { Dissemination } from './dissemination.ts';
import type { Claim, MemberId } from './member.ts';
import { claimBytes } from './messages.ts';

const id = (slot: string): MemberId => ({ slot, generation: 1 });
const alive = (slot: string, incarnation = 1): Claim => ({
  member: id(slot),
  incarnation,
  standing: 'alive',
});
const suspect = (slot: string, accuser: string, silentMs = 0): Claim => ({
  member: id(slot),
  incarnation: 1,
  standing: 'suspect',
  accuser: id(accuser),
  silentMs,
});

function taken(news: Dissemination, times: number, room = 1_000): string[][] {
  return Array.from({ length: times }, () =>
    news.take(0, id('z'), room).map((claim) => `${claim.member.slot}${claim.incarnation}`),
  );
}

describe('news', () => {
  it('is told so often, and then no more', () => {
    const news = new Dissemination({ copies: () => 3 });
    news.put(0, alive('a'));
    expect(taken(news, 5)).toEqual([['a1'], ['a1'], ['a1'], [], []]);
    expect(news.isEmpty).toBe(true);
  });

  it('goes least told first where there is no room for all', () => {
    const news = new Dissemination({ copies: () => 2 });
    const room = claimBytes(alive('a'));
    news.put(0, alive('a'));
    expect(taken(news, 1, room)).toEqual([['a1']]);
    news.put(0, alive('b'));
    news.put(0, alive('c'));
    expect(taken(news, 6, room)).toEqual([['b1'], ['c1'], ['a1'], ['b1'], ['c1'], []]);
  });

  it('is overtaken by newer news of the same member, but accusers stand beside each other', () => {
    const news = new Dissemination({ copies: () => 9 });
    news.put(0, alive('a', 1));
    news.put(0, suspect('a', 'b'));
    news.put(0, suspect('a', 'c'));
    news.put(0, suspect('a', 'b'));
    const accusers = news.take(0, id('z'), 1_000).map((claim) => claim.accuser?.slot);
    expect(accusers.sort()).toEqual(['b', 'c']);
    news.put(0, alive('a', 2));
    expect(taken(news, 1)).toEqual([['a2']]);
    news.forget(id('a'));
    expect(taken(news, 1)).toEqual([[]]);
    expect(news.isEmpty).toBe(true);
  });

  it('is not told to whom it is about, and does not count as told then', () => {
    const news = new Dissemination({ copies: () => 1 });
    news.put(0, alive('z'));
    expect(news.take(0, id('z'), 1_000)).toEqual([]);
    expect(news.take(0, id('y'), 1_000)).toEqual([alive('z')]);
  });

  it('tells of a silence how long it is by then', () => {
    const news = new Dissemination({ copies: () => 1 });
    news.put(1_000, suspect('a', 'b', 300));
    expect(news.take(1_500, id('z'), 1_000)[0]!.silentMs).toBe(800);
  });
});
