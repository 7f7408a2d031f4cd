'use strict';
// Figures of one record: spans by step, layers by heads, layers.

// Spans by new tokens.
Attn.spanHeatmap = (record, state, actions) => {
  const spans = record.shownSpans();
  const choice = record.choice(state);
  const steps = spans.map(({ label }) => record.spanSteps(label, choice));
  const largest = Math.max(...steps.map((row) => Math.max(...row)));
  const columns = record.manifest.rows;
  const text = (column) => record.tokens[record.prompt + column];
  const [cell, height, left, top] = [Math.max(5, Math.min(22, Math.floor(650 / columns))), 20, 140, 92];
  const svg = Attn.canvas(Math.max(480, left + columns * cell + 30), top + spans.length * height + 14);
  const { chosen } = Attn.palette();
  svg.append(Attn.text(8, 14, `mass of attention, 0 to ${Attn.number(largest)} (root scale); a click selects the new token`));
  const every = Math.ceil(13 / cell);
  for (let column = 0; column < columns; column += every) {
    const x = left + column * cell + cell / 2 + 4;
    svg.append(Attn.text(x, top - 6, Attn.shown(text(column)).slice(0, 12), { transform: `rotate(-60 ${x} ${top - 6})` }));
  }
  const cells = spans.map((span, number) => {
    const y = top + number * height;
    svg.append(Attn.text(left - 8, y + 14, span.label, { 'text-anchor': 'end' }));
    return Array.from(steps[number], (value, column) => ({
      element: Attn.svg('rect', { x: left + column * cell, y, width: cell - (cell > 7 ? 1 : 0), height: height - 2, fill: Attn.heat(value, largest) }),
      key: `span/${span.label}/${column}`,
      label: `${span.label} ← “${Attn.shown(text(column))}” (new token ${column}): ${Attn.number(value)}`,
      act: () => actions.drill(record.prompt + column, span),
    }));
  });
  Attn.grid(svg, cells);
  const marked = Attn.selection(record, state.sel);
  if (marked.kind === 'new') {
    svg.append(Attn.svg('rect', { x: left + (marked.first - record.prompt) * cell, y: top - 2, width: (marked.last - marked.first + 1) * cell,
      height: spans.length * height + 2, fill: 'none', stroke: chosen, 'stroke-width': 2, 'pointer-events': 'none' }));
  }
  const table = () => ({ columns: ['span', 'new token', 'text', 'attention'],
    rows: spans.flatMap((span, number) => Array.from(steps[number], (value, column) => [span.label, column, text(column), value])) });
  return Attn.figure(`Attention of each new token to each span${Attn.restriction(choice)}`, `spans-${record.id}`, svg, { table, about: [Attn.about(record)] });
};

// What a figure shows of layers and heads, and whether with sinks, as part of its title.
Attn.restriction = ({ layer = null, head = null, sink }) => {
  const parts = [layer === null ? '' : `layer ${layer}`, head === null ? '' : `head ${head}`, sink === 'keep' ? 'sinks kept' : ''].filter((part) => part);
  return parts.length ? ` (${parts.join(', ')})` : '';
};

// What a record is, in a line.
Attn.about = ({ id, manifest: { record: { strategy, layout, turn, model } } }) => `${strategy} · ${layout} · turn ${turn} · ${model} · ${id}`;

// Orders of a matrix.
const orders = {
  number: (matrix) => ({ layers: [...matrix.keys()], heads: [...matrix[0].keys()] }),
  layers: (matrix) => ({ layers: [...matrix.keys()].sort((left, right) => Attn.mean(matrix[right]) - Attn.mean(matrix[left])), heads: [...matrix[0].keys()] }),
  heads: (matrix) => {
    const mean = (head) => Attn.mean(matrix.map((row) => row[head]));
    return { layers: [...matrix.keys()], heads: [...matrix[0].keys()].sort((left, right) => mean(right) - mean(left)) };
  },
};
Attn.orderNames = { number: 'by number', layers: 'layers by mean', heads: 'heads by mean' };

// Layers by heads; `colour`, `largest` and `table` let a difference use it too.
Attn.headGrid = (title, name, matrix, state, actions, { colour, largest, what, table, room, about, extra = [] }) => {
  const order = orders[state.order](matrix);
  const [left, top] = [64, 46];
  const cell = Math.max(9, Math.min(34, Math.floor((room - left - 20) / order.heads.length)));
  const svg = Attn.canvas(Math.max(room, left + order.heads.length * cell + 20), top + order.layers.length * cell + 12);
  const { chosen } = Attn.palette();
  svg.append(Attn.text(8, 14, what));
  const every = Math.ceil(16 / cell);
  order.heads.forEach((head, at) => {
    if (at % every === 0) svg.append(Attn.text(left + at * cell + cell / 2, top - 6, head, { 'text-anchor': 'middle', 'font-size': 10 }));
  });
  const cells = order.layers.map((layer, at) => {
    const y = top + at * cell;
    const label = Attn.text(left - 8, y + cell / 2 + 4, `layer ${layer}`, { 'text-anchor': 'end', 'font-size': Math.min(11, cell + 1), 'data-click': '' });
    label.addEventListener('click', () => Attn.guard(() => actions.restrict(layer, null)));
    svg.append(label);
    return order.heads.map((head, place) => {
      const value = matrix[layer][head];
      const element = Attn.svg('rect', { x: left + place * cell, y, width: cell - 1, height: cell - 1, fill: colour(value, largest), 'data-layer': layer, 'data-head': head });
      if (state.layer === layer && (state.head === null || state.head === head)) { element.setAttribute('stroke', chosen); element.setAttribute('stroke-width', 2); }
      return { element, key: `head/${layer}/${head}`, label: `layer ${layer}, head ${head}: ${Attn.number(value)}`, act: () => actions.restrict(layer, head) };
    });
  });
  Attn.grid(svg, cells);
  const chooser = Attn.chooser('Order', Object.entries(Attn.orderNames), state.order, (value) => actions.set({ order: value }));
  return Attn.figure(title, name, svg, { table: () => table(order), about, extra: [...extra, chooser] });
};

Attn.spanChooser = (spans, now, actions) => Attn.chooser('Span', spans.map(({ label }) => [label, label]), now, (span) => actions.set({ span }));

// How a mean that is none of the rows' values is told in titles, tables and legends.
Attn.meanRemark = { rows: '', ratio: ' (ratio of means)' };

Attn.headMatrix = (record, span, state, actions) => {
  const mean = record.headMean(state.sink);
  const remark = Attn.meanRemark[mean];
  const matrix = record.headMatrix(span, state.sink, mean);
  const largest = Math.max(...matrix.flat());
  const what = `mass, mean over new tokens${remark}, 0 to ${Attn.number(largest)} (root scale); a click restricts every view`;
  const table = ({ layers, heads }) => ({ columns: ['layer', 'head', `attention${remark}`],
    rows: layers.flatMap((layer) => heads.map((head) => [layer, head, matrix[layer][head]])) });
  return Attn.headGrid(`Attention to ${span}${remark}${Attn.restriction({ sink: state.sink })}`, `heads-${record.id}`, matrix, state, actions,
    { colour: Attn.heat, largest, what, table, room: 560, about: [Attn.about(record)], extra: [Attn.spanChooser(record.shownSpans(), span, actions)] });
};

// Layers as a line.
Attn.layerProfile = (record, span, state, actions) => {
  const values = record.layerProfile(span, state.sink);
  const largest = Math.max(...values, 1e-12);
  const [width, height, left, bottom] = [700, 220, 64, 34];
  const svg = Attn.canvas(width, height);
  const { accent, line, chosen } = Attn.palette();
  const x = (layer) => left + (values.length > 1 ? layer / (values.length - 1) : 0.5) * (width - left - 24);
  const y = (value) => height - bottom - (value / largest) * (height - bottom - 20);
  for (const tick of Attn.ticks(0, largest)) {
    svg.append(Attn.svg('line', { x1: left, x2: width - 24, y1: y(tick), y2: y(tick), stroke: line }));
    svg.append(Attn.text(left - 6, y(tick) + 4, Attn.number(tick), { 'text-anchor': 'end' }));
  }
  svg.append(Attn.svg('polyline', { points: values.map((value, layer) => `${x(layer)},${y(value)}`).join(' '), fill: 'none', stroke: accent, 'stroke-width': 2 }));
  for (const layer of Attn.ticks(0, values.length - 1, true)) svg.append(Attn.text(x(layer), height - bottom + 18, layer, { 'text-anchor': 'middle' }));
  Attn.grid(svg, [values.map((value, layer) => ({
    element: Attn.svg('circle', { cx: x(layer), cy: y(value), r: state.layer === layer ? 6 : 4, fill: state.layer === layer ? chosen : accent }),
    key: `layer/${layer}`,
    label: `layer ${layer}: ${Attn.number(value)}`,
    act: () => actions.restrict(layer, null),
  }))], { isMatrix: false });
  svg.append(Attn.text((left + width) / 2, height - 4, 'layer', { 'text-anchor': 'middle' }));
  const table = () => ({ columns: ['layer', 'attention'], rows: values.map((value, layer) => [layer, value]) });
  const title = `Attention to ${span} by layer, mean over heads and new tokens${Attn.restriction({ sink: state.sink })}`;
  return Attn.figure(title, `layers-${record.id}`, svg, { table, about: [Attn.about(record)] });
};

// Mass per step as a small line.
Attn.sparkline = (steps) => {
  const [width, height] = [250, 56];
  const svg = Attn.canvas(width, height);
  const largest = Math.max(...steps, 1e-12);
  const x = (at) => 4 + (steps.length > 1 ? at / (steps.length - 1) : 0.5) * (width - 8);
  const points = Array.from(steps, (value, at) => `${x(at)},${height - 6 - (value / largest) * (height - 18)}`).join(' ');
  svg.append(Attn.svg('polyline', { points, fill: 'none', stroke: Attn.palette().accent, 'stroke-width': 1.5 }));
  svg.append(Attn.text(4, 11, `per new token, up to ${Attn.number(largest)}`, { 'font-size': 10, fill: Attn.palette().quiet }));
  return svg;
};
