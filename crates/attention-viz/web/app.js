'use strict';
// The page: its state is in the address, and everything shown follows from it.

const $ = (id) => document.getElementById(id);

const views = { map: 'Prompt map', spans: 'Spans × steps', heads: 'Layers × heads', compare: 'A / B', turns: 'Over turns' };
const fresh = { run: 0, id: null, view: 'map', sel: '', span: 'strategy_name', sink: 'drop', layer: null, head: null, order: 'number', b: null,
  value: 'sra', by: 'layout', q: '' };
const numbers = ['run', 'layer', 'head'];

let state = { ...fresh };
let index = null;
let record = null;
let other = null;
let map = null;
let measured = null;

const readAddress = () => {
  const read = { ...fresh };
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (!(name in fresh)) continue;
    if (!numbers.includes(name)) read[name] = value;
    else if (/^\d+$/.test(value)) read[name] = Number(value);
  }
  if (!(read.view in views)) read.view = fresh.view;
  if (!(read.order in Attn.orderNames)) read.order = fresh.order;
  if (!['layout', 'strategy', 'model', 'run'].includes(read.by)) read.by = fresh.by;
  return read;
};

// Going to another record or view can be gone back from; a selection only replaces the address.
const writeAddress = (isStep) => {
  const changed = Object.entries(state).filter(([name, value]) => value !== fresh[name] && value !== null && value !== '');
  const hash = `#${new URLSearchParams(changed)}`;
  if (hash === location.hash) return;
  if (isStep) history.pushState(null, '', hash);
  else history.replaceState(null, '', hash);
};

const actions = {
  async set(changes) {
    const isStep = ['run', 'id', 'view', 'b'].some((name) => name in changes && changes[name] !== state[name]);
    state = { ...state, ...changes };
    writeAddress(isStep);
    await show();
  },
  select(sel) {
    performance.mark('select');
    state.sel = sel;
    writeAddress(false);
    measureSelection();
    // Reading a size makes the browser work out style and layout, which are part of the cost.
    void document.body.offsetHeight;
    Attn.timings.lastSelection = performance.measure('selection', 'select').duration;
  },
  selected: () => state.sel,
  open: (run, id) => actions.set({ run, id, sel: '', layer: null, head: null, view: state.view === 'turns' ? 'map' : state.view }),
  async restrict(layer, head) {
    const again = state.layer === layer && state.head === head;
    await actions.set(again ? { layer: null, head: null } : { layer, head });
  },
  async drill(token, span) {
    await actions.set({ view: 'map', sel: `${token}-${token}` });
    map.scrollTo(span.tokens.start);
  },
  describe(token) {
    const value = measured.values[token];
    const rank = 1 + measured.values.reduce((more, one) => more + (one > value ? 1 : 0), 0);
    const place = token < record.prompt ? `prompt token ${token}` : `new token ${token - record.prompt}`;
    return `“${Attn.shown(record.tokens[token])}” · ${place} · ${Attn.number(value)} · rank ${rank} of ${record.tokens.length}`;
  },
};

// Shows what the state says; loads what that needs.
const show = async () => {
  await openRecord();
  if (state.layer !== null && (state.layer >= record.manifest.layers || (state.head !== null && state.head >= record.manifest.heads))) {
    Object.assign(state, { layer: null, head: null });
  }
  if (record.column(state.span) < 0 && record.shownSpans().length) state.span = record.shownSpans()[0].label;
  if (state.head !== null && state.layer !== null) await record.loadHeads(state.layer);
  drawFrame();
  await drawView();
  measureSelection();
};

const openRecord = async () => {
  if (record && record.run === state.run && record.id === state.id) return;
  const [run, id] = [state.run, state.id];
  record = await Attn.Record.open(run, id);
  map = new Attn.Map(record, actions);
  drawFrame();
  if (state.view === 'map') $('view').replaceChildren(map.root);
  notePaint();
  await Promise.all([record.loadSums(), record.loadRows()]);
};

// Milliseconds from the navigation to the first frame that shows a record.
const notePaint = () => {
  if (Attn.timings.firstPaint !== undefined) return;
  requestAnimationFrame(() => setTimeout(() => { Attn.timings.firstPaint = performance.now(); }));
};

const drawFrame = () => {
  const { record: info, layers, heads, rows } = record.manifest;
  $('about').replaceChildren(
    Attn.element('h2', {}, `${info.strategy} · ${info.layout} · turn ${info.turn}`),
    Attn.element('p', { class: 'quiet' }, `${info.model} · ${layers} layers × ${heads} heads · ${record.prompt} prompt tokens, ${rows} new · ${info.example}`),
    Attn.element('p', {}, info.situation ? `Situation: ${info.situation}` : ''));
  drawRestriction();
  for (const tab of $('tabs').children) tab.setAttribute('aria-selected', String(tab.dataset.view === state.view));
  $('sink').value = state.sink;
  const { records } = index.runs[state.run];
  $('place').textContent = `${records.findIndex((entry) => entry.id === state.id) + 1} of ${records.length}`;
  if (!Attn.source.embedded) $('standalone').href = Attn.source.standalone(state.run, state.id);
  for (const button of $('list').querySelectorAll('button')) {
    button.setAttribute('aria-current', String(button.dataset.key === `${state.run}/${state.id}`));
  }
};

const drawRestriction = () => {
  const note = $('restricted');
  note.hidden = state.layer === null;
  if (note.hidden) return;
  const kept = state.head !== null && record.headRows.get(state.layer);
  const what = state.head === null ? `layer ${state.layer}` : `layer ${state.layer}, head ${state.head}`;
  const limit = state.head !== null && !kept ? ' — this record has no rows of single heads, so tokens and steps show the whole layer' : '';
  note.replaceChildren(`Everything is restricted to ${what}${limit}. `,
    Attn.element('button', { type: 'button', onclick: () => actions.set({ layer: null, head: null }) }, 'show all layers'));
};

const drawView = async () => {
  const view = $('view');
  if (state.view === 'map') {
    const bar = Attn.element('div', { id: 'map-legend' });
    view.replaceChildren(map.root, bar, exportsOfMap());
  } else if (['spans', 'heads'].includes(state.view) && !record.shownSpans().length) {
    view.replaceChildren(Attn.element('p', { class: 'quiet' }, 'The prompt of this record has no labelled spans.'));
  } else if (state.view === 'spans') {
    view.replaceChildren(Attn.spanHeatmap(record, state, actions));
  } else if (state.view === 'heads') {
    view.replaceChildren(Attn.headMatrix(record, state, actions), Attn.layerProfile(record, state, actions));
  } else if (state.view === 'compare') {
    view.replaceChildren(...Attn.compareView(record, await partner(), index, state, actions));
  } else {
    view.replaceChildren(...Attn.turnsView(index, state, actions));
  }
};

const partner = async () => {
  const found = /^(\d+)\/(.+)$/.exec(state.b || '');
  if (!found) return null;
  const [run, id] = [Number(found[1]), found[2]];
  if (!other || other.run !== run || other.id !== id) {
    other = await Attn.Record.open(run, id);
    await Promise.all([other.loadSums(), other.loadRows()]);
  }
  return other;
};

const exportsOfMap = () => {
  const button = (label, what, act) => Attn.element('button', { type: 'button', 'data-export': what, onclick: act }, label);
  const picture = () => map.picture(measured, Attn.largest(record, measured.values, state.sink));
  const name = `map-${record.id}`;
  const table = () => ({ columns: ['position', 'token', 'spans', 'attention'], rows: record.tokens.map((text, at) => [at, text,
    record.shownSpans().filter(({ tokens }) => at >= tokens.start && at < tokens.end).map(({ label }) => label).join(' '), measured.values[at]]) });
  return Attn.element('div', {}, Attn.element('div', { class: 'figure-head' }, Attn.element('span', { class: 'quiet' }, 'Save the map as'),
    button('SVG', 'svg', () => Attn.save(`${name}.svg`, Attn.svgText(picture()), 'image/svg+xml')),
    button('PNG', 'png', () => { const svg = picture(); document.body.append(svg); Attn.savePng(`${name}.png`, svg); svg.remove(); }),
    button('CSV', 'csv', () => Attn.save(`${name}.csv`, Attn.csv(table()), 'text/csv'))), Attn.tableOf(table));
};

// Numbers, colours and the list of the present selection.
const measureSelection = () => {
  if (!record.sums) return;
  measured = Attn.measured(record, state);
  const largest = Attn.largest(record, measured.values, state.sink);
  if (state.view === 'map') {
    map.paint(measured, largest);
    const what = measured.chosen.kind === 'prompt' ? 'mass that each new token gives to the selection' : 'attention of the chosen new tokens to each token';
    $('map-legend')?.replaceChildren(Attn.legend(largest, what));
  }
  drawNumbers();
  drawTop();
};

const drawNumbers = () => {
  const { chosen, steps } = measured;
  const { rows, sinks } = record.manifest;
  const span = record.shownSpans().find(({ tokens }) => tokens.start === chosen.first && tokens.end === chosen.last + 1);
  const count = chosen.last - chosen.first + 1;
  $('details-title').textContent = chosen.kind === 'all' ? 'All new tokens' : chosen.kind === 'new' ? 'New tokens' : span ? span.label : 'Prompt tokens';
  const entries = [['tokens', count === 1 ? `1 (at ${chosen.first})` : `${count} (${chosen.first} to ${chosen.last})`]];
  if (chosen.kind === 'prompt' && steps) {
    const mass = Attn.mean(steps);
    const dropped = state.sink === 'drop' ? sinks.length : 0;
    const ratio = Attn.mean(steps.map((value, row) => value * (record.prompt + row - dropped) / count));
    entries.push(['attention (mass)', Attn.number(mass)], ['per token', Attn.number(mass / count)], ['ratio to uniform', Attn.number(ratio)]);
  } else if (chosen.kind === 'prompt') {
    entries.push(['attention', 'only whole spans: the record has no rows']);
  } else {
    entries.push(['of', `${rows} new tokens`]);
  }
  for (const [name, value] of chosen.kind === 'all' ? Object.entries(record.manifest.record.values) : []) entries.push([name, Attn.number(value)]);
  $('numbers').replaceChildren(...entries.flatMap(([name, value]) => [Attn.element('dt', {}, name), Attn.element('dd', { 'data-number': name }, value)]));
  $('steps').replaceChildren(...(steps ? [Attn.sparkline(steps)] : []));
};

const drawTop = () => {
  const { chosen, values } = measured;
  $('top-title').textContent = chosen.kind === 'prompt' ? 'New tokens that attend most' : 'Most attended';
  const order = [...values.keys()].filter((at) => values[at] > 0).sort((left, right) => values[right] - values[left] || left - right).slice(0, 20);
  const largest = values[order[0]] || 1;
  $('top').replaceChildren(...order.map((at) => Attn.element('li', {},
    Attn.element('span', { class: 'where' }, at),
    Attn.element('span', { class: 'word', style: `--w:${(100 * values[at] / largest).toFixed(1)}%` }, Attn.shown(record.tokens[at])),
    Attn.element('span', { class: 'value' }, Attn.number(values[at])))));
};

// What a search asks for: "turn 5" is that turn, everything else is looked for in the record's texts.
const searchTerms = (query) => [...query.toLowerCase().matchAll(/\bturn\s+(\d+)\b|\S+/g)].map(([word, turn]) => (turn === undefined
  ? { word } : { turn: Number(turn) }));
const searchText = (entry, run) => [entry.strategy, entry.layout, entry.conversation, entry.example, entry.model, entry.response, run.name]
  .join(' ').toLowerCase();

// The list of records.
const drawList = () => {
  const terms = searchTerms(state.q);
  const found = [];
  index.runs.forEach((run, number) => run.records.forEach((entry) => {
    const own = terms.length ? searchText(entry, run) : '';
    if (terms.every(({ word, turn }) => (word === undefined ? entry.turn === turn : own.includes(word)))) found.push({ entry, number });
  }));
  const most = 300;
  $('found').textContent = found.length > most ? `${found.length} records, the first ${most} are shown` : `${found.length} records`;
  $('list').replaceChildren(...found.slice(0, most).map(({ entry, number }) => Attn.element('li', {},
    Attn.element('button', { type: 'button', 'data-key': `${number}/${entry.id}`, 'aria-current': String(number === state.run && entry.id === state.id),
      onclick: () => actions.open(number, entry.id) },
    Attn.element('span', { title: `${entry.conversation}: ${entry.response.slice(0, 200)}` }, entry.strategy), Attn.element('small', {}, `${entry.layout} · turn ${entry.turn}${Number.isFinite(entry.values.sra) ? ` · SRA ${Number(entry.values.sra.toPrecision(2))}` : ''}`)))));
  $('problems').replaceChildren(...index.problems.map((problem) => Attn.element('p', {}, `left out: ${problem}`)));
};

const neighbour = (step) => {
  const { records } = index.runs[state.run];
  const at = records.findIndex((entry) => entry.id === state.id);
  const next = records[(at + step + records.length) % records.length];
  actions.open(state.run, next.id);
};

const setTheme = (theme) => {
  document.documentElement.dataset.theme = theme;
  $('theme').textContent = theme === 'dark' ? 'Light' : 'Dark';
};

const toggleTheme = async () => {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  setTheme(theme);
  try { localStorage.setItem('theme', theme); } catch { /* Private windows may have no storage. */ }
  await drawView();
  measureSelection();
};

const keys = [
  ['← → ↑ ↓', 'move among tokens (in the map)', null],
  ['Shift + arrows', 'select tokens', null],
  ['Esc', 'clear the selection', null],
  ['[ ]', 'select the previous or next span', { '[': () => stepSpan(-1), ']': () => stepSpan(1) }],
  ['p n', 'previous or next record', { p: () => neighbour(-1), n: () => neighbour(1) }],
  ['1 – 5', 'views', Object.fromEntries(Object.keys(views).map((view, at) => [String(at + 1), () => actions.set({ view })]))],
  ['s', 'drop or keep sinks', { s: () => actions.set({ sink: state.sink === 'drop' ? 'keep' : 'drop' }) }],
  ['t', 'dark or light', { t: () => toggleTheme() }],
  ['/', 'search', { '/': () => $('search').focus() }],
  ['?', 'this help', { '?': () => $('keys').showModal() }],
];

const stepSpan = async (direction) => {
  if (state.view !== 'map') await actions.set({ view: 'map' });
  map.step(direction);
};

const onKey = (event) => {
  const typing = ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $('keys').open) return;
  if (event.key === 'Escape') return void actions.select('');
  for (const [, , does] of keys) {
    if (does && does[event.key]) {
      event.preventDefault();
      return void does[event.key]();
    }
  }
};

const wire = () => {
  $('tabs').replaceChildren(...Object.entries(views).map(([view, name], at) => Attn.element('button',
    { type: 'button', role: 'tab', 'data-view': view, title: `${name} (${at + 1})`, onclick: () => actions.set({ view }) }, name)));
  $('previous').addEventListener('click', () => neighbour(-1));
  $('next').addEventListener('click', () => neighbour(1));
  $('sink').addEventListener('change', (event) => actions.set({ sink: event.target.value }));
  $('theme').addEventListener('click', toggleTheme);
  $('help').addEventListener('click', () => $('keys').showModal());
  $('search').addEventListener('input', (event) => { state.q = event.target.value; writeAddress(false); drawList(); });
  $('key-table').replaceChildren(...keys.map(([key, what]) => Attn.element('tr', {}, Attn.element('td', {}, Attn.element('kbd', {}, key)), Attn.element('td', {}, what))));
  addEventListener('keydown', onKey);
  addEventListener('popstate', () => { state = { ...valid(readAddress()) }; drawList(); guarded(show()); });
};

// An address may name what is not here: then the first record is shown.
const valid = (wanted) => {
  const hasRecords = (number) => index.runs[number] && index.runs[number].records.length > 0;
  const run = hasRecords(wanted.run) ? wanted.run : index.runs.findIndex((_, number) => hasRecords(number));
  if (run < 0) throw new Error('no record could be read');
  const records = index.runs[run].records;
  const id = records.some((entry) => entry.id === wanted.id) ? wanted.id : records[0].id;
  return { ...wanted, run, id };
};

const guarded = (promise) => promise.catch((error) => {
  $('view').replaceChildren(Attn.element('p', { class: 'note', role: 'alert' }, `This could not be shown: ${error.message}`));
});

const start = async () => {
  let stored = null;
  try { stored = localStorage.getItem('theme'); } catch { /* as above */ }
  setTheme(stored || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  document.body.classList.toggle('standalone', Attn.source.embedded);
  wire();
  index = await Attn.source.index();
  drawList();
  state = valid(readAddress());
  $('search').value = state.q;
  drawList();
  await show();
  Attn.ready = true;
};

guarded(start());
