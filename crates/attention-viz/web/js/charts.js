'use strict';
// Figures of one record: spans by step, layers by heads, layers.

// Spans by new tokens.
Attn.spanHeatmap = (record, state, actions) => {
  const spans = record.shownSpans();
  const steps = spans.map(({ label }) => record.spanSteps(label, state));
  const largest = Math.max(...steps.map((row) => Math.max(...row)));
  const columns = record.manifest.rows;
  const [cell, height, left, top] = [Math.max(5, Math.min(22, Math.floor(820 / columns))), 20, 170, 92];
  const svg = Attn.canvas(left + columns * cell + 20, top + spans.length * height + 14);
  const { fg, chosen } = Attn.palette();
  const every = Math.ceil(13 / cell);
  for (let column = 0; column < columns; column += every) {
    const x = left + column * cell + cell / 2 + 4;
    svg.append(Attn.text(x, top - 6, Attn.shown(record.tokens[record.prompt + column]).slice(0, 12), { transform: `rotate(-60 ${x} ${top - 6})` }));
  }
  spans.forEach((span, number) => {
    const y = top + number * height;
    svg.append(Attn.text(left - 8, y + 14, span.label, { 'text-anchor': 'end' }));
    steps[number].forEach((value, column) => {
      const rect = Attn.svg('rect', { x: left + column * cell, y, width: cell - (cell > 7 ? 1 : 0), height: height - 2, fill: Attn.heat(value, largest), 'data-click': '' });
      rect.addEventListener('click', () => actions.drill(record.prompt + column, span));
      rect.addEventListener('mousemove', (event) => Attn.tip.show(event,
        `${span.label} ← “${Attn.shown(record.tokens[record.prompt + column])}” (new token ${column}): ${Attn.number(value)}`));
      rect.addEventListener('mouseleave', Attn.tip.hide);
      svg.append(rect);
    });
  });
  const marked = Attn.selection(record, state.sel);
  if (marked.kind === 'new') {
    svg.append(Attn.svg('rect', { x: left + (marked.first - record.prompt) * cell, y: top - 2, width: (marked.last - marked.first + 1) * cell,
      height: spans.length * height + 2, fill: 'none', stroke: chosen, 'stroke-width': 2 }));
  }
  svg.append(Attn.text(left, 14, `mass of attention, 0 to ${Attn.number(largest)} (root scale)`, { fill: fg }));
  const table = () => ({ columns: ['span', 'new token', 'text', 'attention'],
    rows: spans.flatMap((span, number) => Array.from(steps[number], (value, column) => [span.label, column, record.tokens[record.prompt + column], value])) });
  return Attn.figure('Attention of each new token to each span', `spans-${record.id}`, svg, table);
};

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

// Layers by heads; `colour` and `largest` let a difference use it too.
Attn.headGrid = (title, name, matrix, state, actions, { colour, largest, what, extra = [] }) => {
  const { layers, heads } = orders[state.order](matrix);
  const [left, top] = [64, 46];
  const cell = Math.max(9, Math.min(26, Math.floor(640 / heads.length)));
  const svg = Attn.canvas(Math.max(560, left + heads.length * cell + 30), top + layers.length * cell + 12);
  const { chosen } = Attn.palette();
  svg.append(Attn.text(left, 14, what));
  const every = Math.ceil(16 / cell);
  heads.forEach((head, at) => {
    if (at % every === 0) svg.append(Attn.text(left + at * cell + cell / 2, top - 6, head, { 'text-anchor': 'middle', 'font-size': 10 }));
  });
  layers.forEach((layer, at) => {
    const y = top + at * cell;
    const label = Attn.text(left - 8, y + cell / 2 + 4, `layer ${layer}`, { 'text-anchor': 'end', 'font-size': Math.min(11, cell + 1), 'data-click': '' });
    label.addEventListener('click', () => actions.restrict(layer, null));
    svg.append(label);
    heads.forEach((head, place) => {
      const value = matrix[layer][head];
      const rect = Attn.svg('rect', { x: left + place * cell, y, width: cell - 1, height: cell - 1, fill: colour(value, largest), 'data-click': '', 'data-layer': layer, 'data-head': head });
      if (state.layer === layer && (state.head === null || state.head === head)) { rect.setAttribute('stroke', chosen); rect.setAttribute('stroke-width', 2); }
      rect.addEventListener('click', () => actions.restrict(layer, head));
      rect.addEventListener('mousemove', (event) => Attn.tip.show(event, `layer ${layer}, head ${head}: ${Attn.number(value)}`));
      rect.addEventListener('mouseleave', Attn.tip.hide);
      svg.append(rect);
    });
  });
  const order = Attn.element('select', { 'aria-label': 'Order', onchange: (event) => actions.set({ order: event.target.value }) },
    ...Object.entries(Attn.orderNames).map(([value, text]) => Attn.element('option', { value, selected: value === state.order }, text)));
  const table = () => ({ columns: ['layer', 'head', 'attention'], rows: layers.flatMap((layer) => heads.map((head) => [layer, head, matrix[layer][head]])) });
  return Attn.figure(title, name, svg, table, [...extra, order]);
};

Attn.spanChooser = (record, state, actions) => Attn.element('select', { 'aria-label': 'Span', onchange: (event) => actions.set({ span: event.target.value }) },
  ...record.shownSpans().map(({ label }) => Attn.element('option', { value: label, selected: label === state.span }, label)));

Attn.headMatrix = (record, state, actions) => {
  const matrix = record.headMatrix(state.span, state.sink);
  const largest = Math.max(...matrix.flat());
  const what = `mean mass of new tokens, 0 to ${Attn.number(largest)} (root scale); click restricts every view`;
  return Attn.headGrid(`Attention to ${state.span}`, `heads-${record.id}`, matrix, state, actions,
    { colour: Attn.heat, largest, what, extra: [Attn.spanChooser(record, state, actions)] });
};

// Layers as a line.
Attn.layerProfile = (record, state, actions) => {
  const values = record.layerProfile(state.span, state.sink);
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
  const every = Math.ceil(values.length / 16);
  values.forEach((value, layer) => {
    const dot = Attn.svg('circle', { cx: x(layer), cy: y(value), r: state.layer === layer ? 6 : 4, fill: state.layer === layer ? chosen : accent, 'data-click': '' });
    dot.addEventListener('click', () => actions.restrict(layer, null));
    dot.addEventListener('mousemove', (event) => Attn.tip.show(event, `layer ${layer}: ${Attn.number(value)}`));
    dot.addEventListener('mouseleave', Attn.tip.hide);
    svg.append(dot);
    if (layer % every === 0) svg.append(Attn.text(x(layer), height - bottom + 18, layer, { 'text-anchor': 'middle' }));
  });
  svg.append(Attn.text((left + width) / 2, height - 4, 'layer', { 'text-anchor': 'middle' }));
  const table = () => ({ columns: ['layer', 'attention'], rows: values.map((value, layer) => [layer, value]) });
  return Attn.figure(`Attention to ${state.span} by layer (mean over heads and new tokens)`, `layers-${record.id}`, svg, table);
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
