'use strict';
// A number of all records over the turns of their dialogues.

// Equal seeds give equal bands.
const generator = (seed) => () => {
  let state = (seed += 0x6d2b79f5);
  state = Math.imul(state ^ (state >>> 15), state | 1);
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61);
  return ((state ^ (state >>> 14)) >>> 0) / 4294967296;
};

// Mean and 95 % interval of values, drawn by conversation; one conversation alone gives no interval.
Attn.interval = (entries, value) => {
  const groups = new Map();
  for (const entry of entries) {
    const group = groups.get(entry.conversation) || { sum: 0, count: 0 };
    group.sum += entry.values[value];
    group.count += 1;
    groups.set(entry.conversation, group);
  }
  const all = [...groups.values()];
  const ratio = (draws) => draws.reduce((sum, group) => sum + group.sum, 0) / draws.reduce((sum, group) => sum + group.count, 0);
  const result = { mean: ratio(all), low: null, high: null, count: entries.length };
  if (all.length < 2) return result;
  const random = generator(2402);
  const means = Array.from({ length: 400 }, () => ratio(all.map(() => all[Math.floor(random() * all.length)]))).sort((left, right) => left - right);
  return { ...result, low: means[10], high: means[389] };
};

// What makes a line of its own.
Attn.lineKinds = ['layout', 'strategy', 'model', 'run'];

Attn.valueNames = (index) => [...new Set(index.runs.flatMap((run) => run.records.flatMap((entry) => Object.keys(entry.values))))];

// Lines of the chart: one per layout, strategy, model or run. Models are never pooled: where there are several, the model is
// part of a line's name.
Attn.turnLines = (index, { value, by }) => {
  const lines = new Map();
  const valued = index.runs.flatMap((run, number) => run.records.filter((entry) => Number.isFinite(entry.values[value]))
    .map((entry) => ({ ...entry, run: number })));
  const areSeveral = new Set(valued.map(({ model }) => model)).size > 1;
  for (const entry of valued) {
    const own = by === 'run' ? index.runs[entry.run].name : entry[by];
    const key = areSeveral && by !== 'model' ? `${entry.model} · ${own}` : own;
    const line = lines.get(key) || new Map();
    line.set(entry.turn, [...(line.get(entry.turn) || []), entry]);
    lines.set(key, line);
  }
  const points = (line) => [...line].sort((left, right) => left[0] - right[0])
    .map(([turn, entries]) => ({ turn, entries, ...Attn.interval(entries, value) }));
  return [...lines].sort(([left], [right]) => (left < right ? -1 : 1)).map(([name, line]) => ({ name, points: points(line) }));
};

Attn.turnsView = (index, state, actions) => {
  const names = Attn.valueNames(index);
  if (!names.length) return [Attn.element('p', { class: 'quiet' }, 'These records have no numbers to plot.')];
  const chosen = names.includes(state.value) ? state.value : names[0];
  const lines = Attn.turnLines(index, { value: chosen, by: state.by });
  const same = (names) => names.map((name) => [name, name]);
  const labelled = (label, options, now, set) => Attn.element('label', {}, `${label} `, Attn.chooser(label, same(options), now, set));
  const choosers = [labelled('value', names, chosen, (value) => actions.set({ value })),
    labelled('lines', Attn.lineKinds, state.by, (by) => actions.set({ by }))];
  const list = Attn.element('ul', { id: 'at-point' });
  const svg = Attn.turnsChart(lines, (line, point) => {
    const open = (entry) => Attn.element('li', {}, Attn.element('button', { type: 'button', onclick: () => actions.open(entry.run, entry.id) },
      `${entry.strategy} · ${entry.layout} · ${entry.conversation.slice(0, 12)} · ${Attn.number(entry.values[chosen])}`));
    list.replaceChildren(Attn.element('h3', {}, `${line.name}, turn ${point.turn}: ${point.count} record${point.count === 1 ? '' : 's'}`), ...point.entries.slice(0, 200).map(open));
  });
  const table = () => ({ columns: [state.by, 'turn', chosen, 'low', 'high', 'records'],
    rows: lines.flatMap(({ name, points }) => points.map((point) => [name, point.turn, point.mean, point.low, point.high, point.count])) });
  return [Attn.figure(`${chosen} over turns`, 'turns', svg, { table, extra: choosers }),
    Attn.element('p', { class: 'quiet' }, 'Bands are 95 % intervals by conversation; one conversation alone gives none. A click (or Enter) on a point lists its records.'), list];
};

// Points beside each other that have an interval: a band each, or a bar where there is only one.
const banded = (points) => {
  const bands = [[]];
  for (const point of points) {
    if (point.low === null) bands.push([]);
    else bands.at(-1).push(point);
  }
  return bands.filter((band) => band.length);
};

// Where the names of lines stand: in rows, each name whole.
const placed = (widths, room) => {
  let [x, row] = [0, 0];
  return widths.map((width) => {
    const end = () => x + 26 + width + 10;
    if (x > 0 && end() > room) [x, row] = [0, row + 1];
    const place = { x, row, end: end() };
    x = place.end + 12;
    return place;
  });
};

const written = ({ low, high }) => (low === null ? '[–]' : `[${Attn.number(low)}, ${Attn.number(high)}]`);

Attn.turnsChart = (lines, list) => {
  const all = lines.flatMap(({ points }) => points);
  const turns = all.map(({ turn }) => turn);
  const ends = all.flatMap(({ mean, low: least, high: most }) => (least === null ? [mean] : [least, mean, most]));
  const [low, high] = [Math.min(0, ...ends), Math.max(...ends)];
  const left = 70;
  const legend = placed(lines.map(({ name }) => Attn.widthOf(name)), 690);
  const [width, top] = [left + Math.max(690, ...legend.map((place) => place.end)), 40 + 18 * Math.max(0, ...legend.map(({ row }) => row))];
  const height = top + 330;
  const svg = Attn.canvas(width, height);
  const { series, line: grid } = Attn.palette();
  const [first, last] = [Math.min(...turns), Math.max(...turns)];
  // Points keep some distance to the axis.
  const x = (turn) => left + 14 + (last > first ? (turn - first) / (last - first) : 0.5) * (width - left - 58);
  const y = (at) => height - 44 - (high > low ? (at - low) / (high - low) : 0.5) * (height - 60 - top);
  for (const tick of Attn.ticks(low, high)) {
    svg.append(Attn.svg('line', { x1: left, x2: width - 30, y1: y(tick), y2: y(tick), stroke: grid }));
    svg.append(Attn.text(left - 6, y(tick) + 4, Attn.number(tick), { 'text-anchor': 'end' }));
  }
  for (const turn of Attn.ticks(first, last, true)) svg.append(Attn.text(x(turn), height - 26, turn, { 'text-anchor': 'middle' }));
  svg.append(Attn.text((left + width) / 2, height - 8, 'supporter turn', { 'text-anchor': 'middle' }));
  lines.forEach((line, number) => {
    const colour = series[number % series.length];
    const dash = number >= series.length ? '5 3' : 'none';
    const path = (points, side) => points.map((point) => `${x(point.turn)},${y(point[side])}`);
    svg.append(...banded(line.points).map((points) => (points.length > 1
      ? Attn.svg('polygon', { points: [...path(points, 'low'), ...path(points, 'high').reverse()].join(' '), fill: colour, opacity: 0.16 })
      : Attn.svg('polyline', { points: [...path(points, 'low'), ...path(points, 'high')].join(' '), stroke: colour }))));
    svg.append(Attn.svg('polyline', { points: path(line.points, 'mean').join(' '), fill: 'none', stroke: colour, 'stroke-width': 2, 'stroke-dasharray': dash }));
    const [legendX, legendY] = [left + legend[number].x, 16 + 18 * legend[number].row];
    svg.append(Attn.svg('line', { x1: legendX, x2: legendX + 20, y1: legendY - 4, y2: legendY - 4, stroke: colour, 'stroke-width': 3, 'stroke-dasharray': dash }));
    svg.append(Attn.text(legendX + 26, legendY, line.name));
  });
  Attn.grid(svg, lines.map((line, number) => line.points.map((point) => ({
    element: Attn.svg('circle', { cx: x(point.turn), cy: y(point.mean), r: 5, fill: series[number % series.length] }),
    key: `turn/${line.name}/${point.turn}`,
    label: `${line.name}, turn ${point.turn}: ${Attn.number(point.mean)} ${written(point)}, ${point.count} record${point.count === 1 ? '' : 's'}`,
    act: () => list(line, point),
  }))), { isMatrix: false });
  return svg;
};
