import type { Compared } from './comparison.js';
import { formatRatio } from './format.js';

const BAR_HEIGHT = 12;
const ROW_GAP = 16;
const LABEL_HEIGHT = 16;
const NAME_WIDTH = 100;
const PLOT_WIDTH = 620;
const VALUE_WIDTH = 90;
const MARGIN = 16;
const TOP = 64;

/** Colours that can be told apart by everybody, on white and on black. */
const COLOURS: Readonly<Record<string, string>> = {
  rsync: '#808080',
  lsyncd: '#d55e00',
  script: '#0072b2',
  'sersync-cold': '#009e73',
};
const OTHER_COLOUR = '#cc79a7';

/** How many times what sersync needs the others need, as bars on a logarithmic scale; sersync is the line at 1. */
export function plotRatios(rows: readonly Compared[], subject: string): string {
  const shown = rows
    .map(({ row, cells }) => ({
      label: `${row.label} (${row.statistic})`,
      bars: cells.filter(({ contestant, toSubject }) => contestant !== subject && (toSubject ?? 0) > 0),
    }))
    .filter(({ bars }) => bars.length > 0);
  const decades = decadesOf(shown.flatMap(({ bars }) => bars.map(({ toSubject }) => toSubject!)));
  const x = (ratio: number): number =>
    MARGIN + NAME_WIDTH + ((Math.log10(ratio) - decades.first) / (decades.last - decades.first)) * PLOT_WIDTH;

  const body: string[] = [];
  let y = TOP;
  for (const { label, bars } of shown) {
    body.push(text(MARGIN, y + 11, label, 'label'));
    y += LABEL_HEIGHT;
    for (const { contestant, toSubject } of bars) {
      const [from, to] = [x(Math.min(1, toSubject!)), x(Math.max(1, toSubject!))];
      const colour = COLOURS[contestant] ?? OTHER_COLOUR;
      body.push(
        text(MARGIN + NAME_WIDTH - 8, y + 10, contestant, 'name'),
        `<rect x="${round(from)}" y="${y + 1}" width="${round(Math.max(1, to - from))}" height="${BAR_HEIGHT - 2}" fill="${colour}"/>`,
        text(round(to + 5), y + 10, formatRatio(toSubject!), 'value'),
      );
      y += BAR_HEIGHT;
    }
    y += ROW_GAP;
  }
  const grid = Array.from({ length: decades.last - decades.first + 1 }, (_, index) => {
    const power = decades.first + index;
    const at = round(x(10 ** power));
    const kind = power === 0 ? 'one' : 'grid';
    return `<line class="${kind}" x1="${at}" x2="${at}" y1="${TOP - 10}" y2="${y}"/>${text(at, TOP - 16, tick(power), 'tick')}`;
  });
  const width = MARGIN * 2 + NAME_WIDTH + PLOT_WIDTH + VALUE_WIDTH;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y + MARGIN}" viewBox="0 0 ${width} ${y + MARGIN}" role="img">
<title>How many times what sersync needs</title>
<style>
  text { font: 11px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 14px; font-weight: 600 }
  .label { font-weight: 600 }
  .name { text-anchor: end }
  .tick { text-anchor: middle }
  .grid { stroke: #8c959f; stroke-opacity: 0.4 }
  .one { stroke: #24292f; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .one { stroke: #e6edf3 } }
</style>
${text(MARGIN, 24, `Times what ${subject} needs: to the right of 1 ${subject} is better, to the left the other is`, 'title')}
${[...grid, ...body].join('\n')}
</svg>
`;
}

/** The powers of ten around all ratios and 1. */
function decadesOf(ratios: readonly number[]): { first: number; last: number } {
  const powers = [0, ...ratios.map(Math.log10)];
  return { first: Math.min(-1, Math.floor(Math.min(...powers))), last: Math.max(1, Math.ceil(Math.max(...powers))) };
}

function tick(power: number): string {
  return power < 0 ? (10 ** power).toFixed(-power) : `${10 ** power}`;
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text class="${kind}" x="${x}" y="${y}">${escape(content)}</text>`;
}

function escape(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
