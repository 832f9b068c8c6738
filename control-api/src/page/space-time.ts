/**
 * A cluster's merged log as a space-time diagram (Lamport 1978, figure 1): time runs down, a line a node, a dot an
 * event, an arrow wherever one event is known to have caused another at another node. An SVG that stands by itself,
 * light or dark as its reader is; what machines tell is in it as text only.
 */
import { type ClusterEvent, causesOf, controlApiNode, mergedOrder, originOf } from '@skep/contract';
import { type Life, lanesOf, livesOf } from './lives.ts';

type Subject = 'membership' | 'death' | 'leadership' | 'redeployment' | 'other';

const subjects: readonly (readonly [Subject, RegExp])[] = [
  ['death', /^(member-dead|node-dead|generation-over)$/],
  ['membership', /^(member|node|configuration|ring|slot)-/],
  ['leadership', /^(agent-)?(election|elected|vote|leader|lease)/],
  ['redeployment', /^(redeployment|generation)-/],
];

const rowHeight = 20;
const headHeight = 150;
const timeX = 16;
const stampX = 150;
const firstLaneX = 180;
const textWidth = 660;
const longestText = 100;
/** Further down than this, an arrow is drawn faintly. */
const nearRows = 40;

const style = `
svg{--ink:#1c1917;--soft:#78716c;--line:#d6d3d1;--page:#fafaf9;--membership:#2563eb;--death:#b91c1c;--leadership:#b45309;--redeployment:#15803d;--other:#78716c}
@media (prefers-color-scheme:dark){svg{--ink:#f5f5f4;--soft:#a8a29e;--line:#44403c;--page:#171412;--membership:#60a5fa;--death:#f87171;--leadership:#f59e0b;--redeployment:#4ade80;--other:#a8a29e}}
text{font:12px system-ui,sans-serif;fill:var(--ink)}.soft{fill:var(--soft)}.count{font-variant-numeric:tabular-nums;text-anchor:end}.title{font-size:16px;font-weight:600}
.page{fill:var(--page)}.guide{stroke:var(--line);stroke-width:1}.band{fill:var(--ink);opacity:.03}
.alive{stroke:var(--ink);stroke-width:3}.coming{stroke:var(--ink);stroke-width:2;stroke-dasharray:2 4}.fenced{stroke:var(--death);stroke-width:3;stroke-dasharray:7 4}
.about{fill:var(--page);stroke:var(--soft)}.arrow{fill:none;stroke-width:1.5;opacity:.75}.far{opacity:.35}
.membership{--is:var(--membership)}.death{--is:var(--death)}.leadership{--is:var(--leadership)}.redeployment{--is:var(--redeployment)}.other{--is:var(--other)}
circle.dot,.head{fill:var(--is)}.arrow{stroke:var(--is)}tspan.kind{fill:var(--is);font-weight:600}`;

/** Draws events of a cluster, in whatever order they come. `note`: what to say of which they are. */
export function spaceTimeDiagram(events: readonly ClusterEvent[], cluster: string, note = ''): string {
  const ordered = mergedOrder(events);
  const lanes = lanesOf(ordered);
  const laneWidth = lanes.length > 12 ? 30 : 44;
  const laneX = (lane: string) => firstLaneX + 24 + lanes.indexOf(lane) * laneWidth;
  const rowY = (row: number) => headHeight + (row + 1) * rowHeight;
  const textX = firstLaneX + 24 + lanes.length * laneWidth;
  const width = textX + textWidth;
  const height = rowY(ordered.length) + rowHeight;
  const placeOf = (row: number) => ({ x: laneX(laneOf(ordered[row]!)), y: rowY(row) });

  const parts: string[] = [
    `<rect class="page" width="${width}" height="${height}"/>`,
    `<text class="title" x="${timeX}" y="28">${escaped(cluster)}: what happened where</text>`,
    `<text class="soft" x="${timeX}" y="46">${escaped(note)}</text>`,
    ...legend(),
    `<text class="soft" x="${timeX}" y="${headHeight}">time (UTC)</text>`,
    `<text class="soft count" x="${stampX}" y="${headHeight}">stamp</text>`,
  ];
  for (let row = 0; row < ordered.length; row += 2) {
    parts.push(
      `<rect class="band" x="0" y="${rowY(row) - rowHeight / 2}" width="${width}" height="${rowHeight}"/>`,
    );
  }
  for (const lane of lanes) {
    const x = laneX(lane);
    const y = headHeight;
    parts.push(
      `<text transform="translate(${x} ${y - 4}) rotate(-50)">${escaped(lane)}</text>`,
      vertical(lane === controlApiNode ? 'alive' : 'guide', x, rowY(-0.6), rowY(ordered.length - 0.4)),
    );
  }
  for (const life of livesOf(ordered)) parts.push(lifeLine(life, laneX(life.slot), rowY, ordered.length));
  for (const { from, to } of causesOf(ordered)) {
    // That a machine began by joining shows in its line.
    if (ordered[from]!.kind === 'node-joined') continue;
    const [cause, effect] = [placeOf(from), placeOf(to)];
    if (cause.x === effect.x) continue;
    parts.push(arrow(cause, effect, `${subjectOf(ordered[to]!)}${to - from > nearRows ? ' far' : ''}`));
  }
  ordered.forEach((event, row) => {
    const { x, y } = placeOf(row);
    if (event.slot !== undefined && originOf(event) === controlApiNode) {
      parts.push(`<circle class="about" cx="${laneX(event.slot)}" cy="${y}" r="3.5"/>`);
    }
    parts.push(
      `<g class="${subjectOf(event)}"><title>${escaped(described(event))}</title>`,
      `<circle class="dot" cx="${x}" cy="${y}" r="5"/>`,
      `<text class="soft" x="${timeX}" y="${y + 4}">${timeOf(event)}</text>`,
      `<text class="soft count" x="${stampX}" y="${y + 4}">${event.lamport}</text>`,
      rowText(event, textX, y + 4),
      '</g>',
    );
  });
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img"><title>${escaped(cluster)}: space-time diagram</title><style>${style}</style>\n${parts.join('\n')}\n</svg>\n`;
}

function subjectOf({ kind }: ClusterEvent): Subject {
  return subjects.find(([, pattern]) => pattern.test(kind))?.[0] ?? 'other';
}

function laneOf(event: ClusterEvent): string {
  return originOf(event).split('@')[0]!;
}

/** A line of dots and one of lines, across the top. */
function legend(): string[] {
  const dots: readonly (readonly [Subject, string])[] = [
    ['membership', 'membership'],
    ['death', 'death'],
    ['leadership', 'leadership'],
    ['redeployment', 'redeployment'],
    ['other', 'other'],
  ];
  const lines: readonly (readonly [string, string])[] = [
    ['alive', 'lives'],
    ['coming', 'is launched'],
    ['fenced', 'replaced, not gone yet'],
  ];
  const parts: string[] = [];
  let x = timeX + 330;
  const label = (text: string, y: number) => {
    parts.push(`<text x="${x}" y="${y}">${text}</text>`);
    x += 24 + text.length * 6.5;
  };
  for (const [subject, text] of dots) {
    parts.push(`<g class="${subject}"><circle class="dot" cx="${x}" cy="24" r="5"/></g>`);
    x += 10;
    label(text, 28);
  }
  x = timeX + 330;
  for (const [phase, text] of lines) {
    parts.push(`<line class="${phase}" x1="${x - 5}" y1="42" x2="${x + 23}" y2="42"/>`);
    x += 30;
    label(text, 46);
  }
  parts.push(arrow({ x: x - 10, y: 42 }, { x: x + 28, y: 42 }, 'leadership'));
  x += 34;
  label('caused', 46);
  parts.push(`<circle class="about" cx="${x}" cy="42" r="3.5"/>`);
  x += 10;
  label('told of by the control API', 46);
  return parts;
}

function vertical(className: string, x: number, y1: number, y2: number): string {
  return `<line class="${className}" x1="${x}" y1="${y1}" x2="${x}" y2="${y2}"/>`;
}

function lifeLine(
  { slot, generation, phase, fromRow, toRow }: Life,
  x: number,
  rowY: (row: number) => number,
  rows: number,
): string {
  const from = rowY(Math.max(fromRow, -0.6));
  const to = rowY(Math.min(toRow, rows - 0.4));
  return `<g><title>${escaped(`${slot}@${generation}`)}</title>${vertical(phase, x, from, to)}</g>`;
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** From beside one dot to beside another, with its head. */
function arrow(cause: Point, effect: Point, className: string): string {
  const length = Math.hypot(effect.x - cause.x, effect.y - cause.y);
  const [ux, uy] = [(effect.x - cause.x) / length, (effect.y - cause.y) / length];
  const at = (along: number, aside = 0) =>
    `${round(cause.x + ux * along - uy * aside)} ${round(cause.y + uy * along + ux * aside)}`;
  const tip = length - 6;
  return `<g class="${className}"><path class="arrow" d="M${at(6)}L${at(tip - 5)}"/><path class="head" d="M${at(tip)}L${at(tip - 8, 3.5)}L${at(tip - 8, -3.5)}Z"/></g>`;
}

const round = (value: number) => Math.round(value * 10) / 10;

function timeOf({ happenedAtMs, atMs }: ClusterEvent): string {
  return new Date(happenedAtMs ?? atMs).toISOString().slice(11, 23);
}

/** The machine that an event is of or about. */
function machineOf({ slot, generation }: ClusterEvent): string {
  return slot === undefined ? '' : `${slot}@${generation ?? '?'} `;
}

function dataOf({ data }: ClusterEvent): string {
  return Object.entries(data)
    .map(([key, value]) => `${key} ${value}`)
    .join(', ');
}

function described(event: ClusterEvent): string {
  return `${timeOf(event)}, stamp ${event.lamport}, told by ${originOf(event)}\n${machineOf(event)}${event.kind} ${dataOf(event)}`;
}

function rowText(event: ClusterEvent, x: number, y: number): string {
  const [machine, data] = [machineOf(event), dataOf(event)];
  const room = longestText - machine.length - event.kind.length;
  const shown = data.length > room ? `${data.slice(0, Math.max(0, room - 1))}…` : data;
  return `<text x="${x}" y="${y}">${escaped(machine)}<tspan class="kind">${escaped(event.kind)}</tspan> <tspan class="soft">${escaped(shown)}</tspan></text>`;
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** As text of XML, which has no place for control characters; those that turn the direction of text go too. */
function escaped(text: string): string {
  return text.replace(/(?!\n)\p{C}/gu, '\ufffd').replace(/[&<>"]/g, (char) => entities[char]!);
}
