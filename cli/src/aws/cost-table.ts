/** The costs of a deployment as lines for people. */
import { formatTable } from '../terminal/format.ts';
import type { Cost } from './cost.ts';
import type { PriceTable } from './price-table.ts';

/** `0.0168` gives `$0.017`: three decimals below a dollar, else two. */
export function formatDollars(amount: number): string {
  if (amount > 0 && amount < 0.0005) return '<$0.001';
  return `$${amount.toFixed(amount < 1 ? 3 : 2)}`;
}

/** An hour, a day and the whole of it for each item; what is paid once stands in the last column alone. */
export function costLines(cost: Cost, table: PriceTable): string[] {
  const hours = Number(cost.hours.toFixed(2));
  const row = (what: string, quantity: string, perHour: number) => [
    what,
    quantity,
    formatDollars(perHour),
    formatDollars(perHour * 24),
    formatDollars(perHour * cost.hours),
  ];
  return [
    ...formatTable(
      ['ITEM', 'QUANTITY', 'AN HOUR', 'A DAY', `UNTIL ITS END (${hours} H)`],
      [
        ...cost.items.map(({ what, quantity, perHour }) => row(what, quantity, perHour)),
        ...cost.once.map(({ what, quantity, amount }) => [what, quantity, 'once', '', formatDollars(amount)]),
        ['total', '', formatDollars(cost.perHour), formatDollars(cost.perDay), formatDollars(cost.untilEnd)],
      ],
    ),
    `${table.source} (${table.compiled})`,
  ];
}
