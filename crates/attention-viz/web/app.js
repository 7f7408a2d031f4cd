'use strict';
// The page: what is done, and what is shown of it. Of answers that come late, only those count that are still wanted.

const $ = (id) => document.getElementById(id);

let state = { ...Attn.fresh };
let index = null;
// The record that the address names, once it has come; what is measured of it, once its numbers have.
let record = null;
let other = null;
let map = null;
let measured = null;
// What of the state's layer, head and sinks is shown; of two records, what both can show.
let choice = null;
// Every change is a new wish; what an older one still waits for is broken off.
let wish = new AbortController();

const actions = {
  set(changes) {
    const isStep = ['run', 'id', 'view', 'b'].some((name) => name in changes && changes[name] !== state[name]);
    state = { ...state, ...changes };
    Attn.writeAddress(state, isStep);
    return show();
  },
  select(sel) {
    if (!measured) return;
    performance.mark('select');
    state.sel = sel;
    Attn.writeAddress(state, false);
    if (state.view === 'spans') drawView(null);
    drawSelection();
    // Reading a size makes the browser work out style and layout, which are part of the cost.
    void document.body.offsetHeight;
    Attn.timings.lastSelection = performance.measure('selection', 'select').duration;
  },
  selected: () => state.sel,
  open: (run, id) => actions.set({ run, id, sel: '', view: state.view === 'turns' ? 'map' : state.view }),
  restrict(layer, head) {
    const again = state.layer === layer && state.head === head;
    return actions.set(again ? { layer: null, head: null } : { layer, head });
  },
  async drill(token, span) {
    await actions.set({ view: 'map', sel: `${token}-${token}` });
    if (map) map.scrollTo(span.tokens.start);
  },
  describe: (token) => (measured ? Attn.describe(record, measured, token) : Attn.shown(record.tokens[token])),
};

// Does something that may fail, now or later, and says so in the page if it does.
Attn.guard = (act) => {
  const say = (error) => {
    $('message').textContent = error.message;
    $('message').hidden = false;
  };
  try {
    const done = act();
    return done && done.catch ? done.catch(say) : done;
  } catch (error) {
    return say(error);
  }
};

// Shows what the state says; loads what that needs.
const show = async () => {
  wish.abort();
  wish = new AbortController();
  const { signal } = wish;
  $('message').hidden = true;
  $('view').setAttribute('aria-busy', 'true');
  try {
    await showWish(signal);
  } catch (error) {
    if (!signal.aborted) showFailure(error);
  }
  if (!signal.aborted) $('view').setAttribute('aria-busy', 'false');
};

const showWish = async (signal) => {
  if (record && (record.run !== state.run || record.id !== state.id)) forget();
  drawFrame();
  if (!record || !record.sums) await openRecord(signal);
  if (signal.aborted) return;
  if (state.head !== null) await record.loadHeads(state.layer, signal);
  const b = state.view === 'compare' ? await partner(signal) : null;
  if (signal.aborted) return;
  // What can be restricted is known only now that the rows have come.
  const records = b instanceof Attn.Record ? [record, b] : [record];
  const common = Attn.commonChoice(records, state);
  await record.loadRows(common, signal);
  if (signal.aborted) return;
  choice = common;
  keepSelection();
  drawFrame();
  Attn.drawRestriction(records, choice, state, actions);
  drawView(b);
  drawSelection();
  document.body.classList.remove('waiting');
  noteFrame('firstColours');
};

// Nothing of a record stays when another is wanted: its numbers must not stand under the other one's name.
const forget = () => {
  record = null;
  map = null;
  measured = null;
  $('restricted').hidden = true;
  document.body.classList.add('waiting');
};

const openRecord = async (signal) => {
  const { run, id } = state;
  const opened = new Attn.Record(run, id);
  await opened.load(state.sink, signal, () => {
    if (signal.aborted) return;
    record = opened;
    map = new Attn.Map(record, actions);
    drawFrame();
    if (state.view === 'map') fill(map.parts);
    noteFrame('firstPaint');
  });
};

// A selection that is not within the record is no selection.
const keepSelection = () => {
  const range = Attn.within(record, state.sel);
  state.sel = range ? range.join('-') : '';
  Attn.writeAddress(state, false);
};

const showFailure = (error) => {
  forget();
  document.body.classList.remove('waiting');
  $('message').textContent = `This record could not be shown: ${error.message}`;
  $('message').hidden = false;
  drawFrame();
  Attn.clearDetails();
  $('view').replaceChildren(...(state.view === 'turns' ? Attn.turnsView(index, state, actions) : []));
};

// Milliseconds from the navigation to the first frame that shows the record, and to the first that shows its colours.
const noteFrame = (name) => {
  if (Attn.timings[name] !== undefined) return;
  requestAnimationFrame(() => setTimeout(() => { Attn.timings[name] = performance.now(); }));
};

const entryNow = () => index.runs[state.run].records.find((entry) => entry.id === state.id);

const drawFrame = () => {
  Attn.drawHeading(entryNow(), record);
  for (const tab of $('tabs').children) {
    const isNow = tab.dataset.view === state.view;
    tab.setAttribute('aria-selected', String(isNow));
    tab.setAttribute('tabindex', isNow ? 0 : -1);
  }
  $('sink').value = state.sink;
  const { records } = index.runs[state.run];
  $('place').textContent = `${records.indexOf(entryNow()) + 1} of ${records.length}`;
  if (!Attn.source.embedded) $('standalone').href = Attn.source.standalone(state.run, state.id);
  Attn.markRecord(state);
};

// The view, with the focus where it was.
const drawView = (b) => {
  const focused = focusKey();
  fill(viewOf(b));
  if (focused) $('view').querySelector(focused)?.focus();
};

// Puts parts into the view. Those at its beginning that are there already stay: a long map takes time to be laid out again.
const fill = (parts) => {
  const there = [...$('view').children];
  const other = parts.findIndex((part, at) => part !== there[at]);
  const same = other < 0 ? parts.length : other;
  there.slice(same).forEach((part) => part.remove());
  $('view').append(...parts.slice(same));
};

const focusKey = () => {
  const now = document.activeElement;
  if (!$('view').contains(now)) return null;
  if (now.dataset.cell) return `[data-cell="${CSS.escape(now.dataset.cell)}"]`;
  if (now.id) return `#${CSS.escape(now.id)}`;
  return now.getAttribute('aria-label') ? `[aria-label="${CSS.escape(now.getAttribute('aria-label'))}"]` : null;
};

const viewOf = (b) => {
  const hint = (text) => [Attn.element('p', { class: 'quiet' }, text)];
  const spans = record.shownSpans();
  const span = spans.some(({ label }) => label === state.span) ? state.span : spans.length ? spans[0].label : null;
  if (state.view === 'turns') return Attn.turnsView(index, state, actions);
  if (state.view === 'compare') return Attn.compareView(record, b, index, state, actions);
  if (state.view === 'map') return [...map.parts, map.exports ||= exportsOfMap()];
  if (!spans.length) return hint('The prompt of this record has no labelled spans.');
  if (state.view === 'spans') return [Attn.spanHeatmap(record, state, actions)];
  return [Attn.headMatrix(record, span, state, actions), Attn.layerProfile(record, span, state, actions)];
};

// The record to compare with; what keeps it from being shown is part of the answer.
const partner = async (signal) => {
  const found = Attn.partnerOf(index, state);
  if (!found) return null;
  try {
    if (!other || other.run !== found.run || other.id !== found.id) other = await new Attn.Record(found.run, found.id).load(state.sink, signal);
    if (state.head !== null) await other.loadHeads(state.layer, signal);
    await other.loadRows(Attn.commonChoice([record, other], state), signal);
    return other;
  } catch (error) {
    other = null;
    return error;
  }
};

const exportsOfMap = () => {
  const [of, now] = [record, map];
  const picture = () => now.picture(measured, Attn.largest(of, measured.values, state.sink));
  const spansAt = (at) => of.shownSpans().filter(({ tokens }) => at >= tokens.start && at < tokens.end).map(({ label }) => label).join(' ');
  const table = () => ({ columns: ['position', 'token', 'spans', 'attention'], rows: of.tokens.map((text, at) => [at, text, spansAt(at), measured.values[at]]) });
  const caption = () => ({ title: `Prompt and new tokens${Attn.restriction(choice)}`, about: [Attn.about(of)] });
  return Attn.element('div', {}, Attn.element('div', { class: 'figure-head' }, Attn.element('span', { class: 'quiet' }, 'Save the map as'),
    Attn.exports(`map-${of.id}`, picture, table, caption)), Attn.tableOf(table));
};

// Numbers, colours and the list of the present selection.
const drawSelection = () => {
  measured = Attn.measured(record, state.sel, choice);
  if (state.view === 'map') {
    const largest = Attn.largest(record, measured.values, state.sink);
    map.paint(measured, largest);
    Attn.drawLegend(map.legend, largest, Attn.mapLegend(measured.chosen));
    Attn.redrawTables($('view'));
  }
  Attn.drawDetails(record, measured, choice);
};

const neighbour = (step) => {
  const { records } = index.runs[state.run];
  const next = records[(records.indexOf(entryNow()) + step + records.length) % records.length];
  return actions.open(state.run, next.id);
};

const setTheme = (theme) => {
  document.documentElement.dataset.theme = theme;
  $('theme').textContent = theme === 'dark' ? 'Light' : 'Dark';
};

const toggleTheme = () => {
  const theme = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  setTheme(theme);
  try { localStorage.setItem('theme', theme); } catch { /* Private windows may have no storage. */ }
  return show();
};

const stepSpan = async (direction) => {
  if (state.view !== 'map') await actions.set({ view: 'map' });
  if (map && measured) map.step(direction);
};

const keys = [
  ['← → ↑ ↓', 'move among tokens, cells or points', null],
  ['Enter', 'do what a click does there', null],
  ['Shift + arrows', 'select tokens', null],
  ['Esc', 'clear the selection', { Escape: () => actions.select('') }],
  ['[ ]', 'select the previous or next span', { '[': () => stepSpan(-1), ']': () => stepSpan(1) }],
  ['p n', 'previous or next record', { p: () => neighbour(-1), n: () => neighbour(1) }],
  ['1 – 5', 'views', Object.fromEntries(Object.keys(Attn.views).map((view, at) => [String(at + 1), () => actions.set({ view })]))],
  ['s', 'drop or keep sinks', { s: () => actions.set({ sink: state.sink === 'drop' ? 'keep' : 'drop' }) }],
  ['t', 'dark or light', { t: () => toggleTheme() }],
  ['/', 'search', { '/': () => $('search').focus() }],
  ['?', 'this help', { '?': () => $('keys').showModal() }],
];

const onKey = (event) => {
  const typing = ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $('keys').open) return;
  const does = keys.map(([, , known]) => known && known[event.key]).find((found) => found);
  if (!does) return;
  event.preventDefault();
  Attn.guard(does);
};

// Tabs are one stop of the Tab key; arrows go on to the next.
const onTabKey = (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const tabs = [...$('tabs').children];
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  event.preventDefault();
  next.focus();
  next.click();
};

const wire = () => {
  const does = (id, event, act) => $(id).addEventListener(event, (happened) => Attn.guard(() => act(happened)));
  $('tabs').replaceChildren(...Object.entries(Attn.views).map(([view, name], at) => Attn.element('button',
    { type: 'button', role: 'tab', 'aria-controls': 'view', 'data-view': view, title: `${name} (${at + 1})`, onclick: () => actions.set({ view }) }, name)));
  $('tabs').addEventListener('keydown', onTabKey);
  does('previous', 'click', () => neighbour(-1));
  does('next', 'click', () => neighbour(1));
  does('sink', 'change', (event) => actions.set({ sink: event.target.value }));
  does('theme', 'click', toggleTheme);
  does('help', 'click', () => $('keys').showModal());
  does('search', 'input', (event) => { state.q = event.target.value; Attn.writeAddress(state, false); Attn.drawList(index, state, actions); });
  $('key-table').replaceChildren(...keys.map(([key, what]) => Attn.element('tr', {}, Attn.element('td', {}, Attn.element('kbd', {}, key)), Attn.element('td', {}, what))));
  addEventListener('keydown', onKey);
  addEventListener('popstate', () => Attn.guard(follow));
};

// Goes where the address says.
const follow = () => {
  state = Attn.readAddress(index);
  Attn.drawList(index, state, actions);
  return show();
};

const start = async () => {
  let stored = null;
  try { stored = localStorage.getItem('theme'); } catch { /* as above */ }
  setTheme(stored || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  document.body.classList.toggle('standalone', Attn.source.embedded);
  index = await Attn.source.index();
  wire();
  await follow();
  Attn.ready = true;
};

Attn.guard(start);
