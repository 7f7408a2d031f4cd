'use strict';
// Records: where they come from, and the numbers that every view is made of.
window.Attn = { timings: {} };

// Half-precision values by their bits; made when they are needed, which is not before the first paint.
Object.defineProperty(Attn, 'halves', { configurable: true, get() {
  const value = new Float32Array(65536);
  for (let exponent = 0; exponent < 32; exponent++) {
    const [power, first] = exponent === 0 ? [2 ** -24, 0] : [2 ** (exponent - 25), 1024];
    for (let fraction = 0; fraction < 1024; fraction++) {
      const bits = exponent * 1024 + fraction;
      value[bits] = (first + fraction) * power;
      value[bits + 32768] = -value[bits];
    }
  }
  Object.defineProperty(Attn, 'halves', { value });
  return value;
} });

Attn.bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;

Attn.typed = (buffer, dtype) => (dtype === 'F16' ? new Uint16Array(buffer)
  : dtype === 'U32' ? new Uint32Array(buffer) : new Float32Array(buffer));

// What a view of all layers needs.
Attn.firstArrays = (sink) => ['span_sums', 'head_profile', 'head_shares', `rows_${sink}`];

// A page that carries its record, or a server that has many. An array that a record was captured without is null.
Attn.source = (() => {
  const element = document.getElementById('embedded');
  if (element) {
    const { manifest, tensors } = JSON.parse(element.textContent);
    const { layers, heads, rows, prompt_tokens } = manifest;
    const entry = { ...manifest.record, layers, heads, rows, prompt_tokens };
    return {
      embedded: true,
      index: async () => ({ runs: [{ name: 'this record', records: [entry] }], problems: [] }),
      manifest: async () => manifest,
      array: async (run, id, name, layer) => {
        const found = tensors[layer === undefined ? name : `${name}/${layer}`];
        return found ? Attn.typed(Attn.bytesOf(found.data), found.dtype) : null;
      },
    };
  }
  const fetched = async (path, signal) => {
    const response = await fetch(path, { signal });
    if (!response.ok) throw new Error(await response.text() || `${path}: ${response.status}`);
    return response;
  };
  const path = (kind, run, id) => `api/${kind}/${run}/${encodeURIComponent(id)}`;
  // What was asked for before anybody wanted it; who takes it hears of a failure.
  const ahead = new Map();
  const ask = (what) => {
    ahead.set(what, fetched(what));
    ahead.get(what).catch(() => {});
  };
  const taken = (what, signal) => {
    const answer = ahead.get(what) || fetched(what, signal);
    ahead.delete(what);
    return answer;
  };
  // The record that the address names is asked for together with the list, before the other scripts have run.
  const address = new URLSearchParams(location.hash.slice(1));
  ask('api/index');
  const [run, id] = [address.get('run') || '0', address.get('id')];
  if (id && /^\d{1,9}$/.test(run)) {
    ask(path('record', run, id));
    Attn.firstArrays(address.get('sink') === 'keep' ? 'keep' : 'drop').forEach((name) => ask(`${path('tensor', run, id)}/${name}`));
  }
  return {
    embedded: false,
    index: async () => (await taken('api/index')).json(),
    manifest: async (run, id, signal) => (await taken(path('record', run, id), signal)).json(),
    array: async (run, id, name, layer, signal) => {
      const query = layer === undefined ? '' : `?layer=${layer}`;
      const response = await taken(`${path('tensor', run, id)}/${name}${query}`, signal);
      return response.status === 204 ? null : Attn.typed(await response.arrayBuffer(), response.headers.get('x-dtype'));
    },
    standalone: (run, id) => path('html', run, id),
  };
})();

// A record and what of its arrays has come so far.
Attn.Record = class {
  constructor(run, id) {
    Object.assign(this, { run, id, sums: null, profile: null, shares: null, hasRows: false, means: new Map(), layerRows: new Map(), heads: new Map(), aggregates: new Map() });
  }

  // Asks for everything at once that a view of all layers needs; `onTexts` hears when there is something to show before the
  // numbers come.
  async load(sink, signal, onTexts = () => {}) {
    const arrays = Promise.all(Attn.firstArrays(sink).map((name) => Attn.source.array(this.run, this.id, name, undefined, signal)));
    // They are waited for below; should the texts fail first, nobody else listens.
    arrays.catch(() => {});
    this.manifest = await Attn.source.manifest(this.run, this.id, signal);
    const { prompt_tokens: prompt, token_texts: tokens, first_position: first, rows } = this.manifest;
    Object.assign(this, { prompt, tokens, keys: first + rows });
    onTexts();
    const [sums, profile, shares, means] = await arrays;
    Object.assign(this, { sums, profile, shares, hasRows: means !== null });
    this.means.set(sink, means);
    if (!this.sums || !this.profile) throw new Error('the record has no new tokens');
    return this;
  }

  // Rows and sums of single heads, one layer at a time.
  async loadHeads(layer, signal) {
    if (layer >= this.manifest.layers || this.heads.has(layer)) return;
    const [rows, sums] = await Promise.all(['head_rows', 'head_span_sums'].map((name) => Attn.source.array(this.run, this.id, name, layer, signal)));
    this.heads.set(layer, { rows, sums });
  }

  // Whole rows of a choice, as far as they are not here yet; those of single heads come with `loadHeads`.
  async loadRows({ layer, head, sink }, signal) {
    if (!this.hasRows || head !== null) return;
    const [kept, key, name] = layer === null ? [this.means, sink, `rows_${sink}`] : [this.layerRows, layer, 'layer_rows'];
    if (!kept.has(key)) kept.set(key, await Attn.source.array(this.run, this.id, name, layer ?? undefined, signal));
  }

  // What of a choice this record can show: a single head has all its arrays or counts as not kept, so that no view shows
  // the head while another shows the whole layer.
  choice({ layer, head, sink }) {
    if (layer === null || layer >= this.manifest.layers) return { layer: null, head: null, sink };
    return { layer, head: head !== null && this.hasHead(layer, head) ? head : null, sink };
  }

  hasHead(layer, head) {
    const kept = this.heads.get(layer);
    return head < this.manifest.heads && kept && kept.sums && (kept.rows || !this.hasRows);
  }

  // What keeps a choice from being shown as it is; null if nothing does.
  lack({ layer, head }) {
    if (layer === null) return null;
    if (layer >= this.manifest.layers) return `no layer ${layer}`;
    if (head === null || this.hasHead(layer, head)) return null;
    return head < this.manifest.heads ? 'no rows of single heads' : `no head ${head}`;
  }

  get columns() { return 2 + this.manifest.spans.length; }

  // A span's number, and how many times the mass on position 0, and that on all sinks, is part of its column but no mass of
  // its own once sinks are dropped.
  span(label) {
    const { spans, sinks } = this.manifest;
    const number = spans.findIndex((span) => span.label === label);
    if (number < 0) return null;
    const { start, end } = spans[number].tokens;
    const inside = sinks.filter((sink) => sink >= start && sink < end).length;
    const hasFirst = sinks[0] === 0;
    let inColumn = [0, 0];
    if (inside && inside === sinks.length) inColumn = [0, 1];
    else if (inside === 1 && hasFirst && start === 0) inColumn = [1, 0];
    else if (inside && inside === sinks.length - 1 && hasFirst && start > 0) inColumn = [-1, 1];
    return { number, inColumn };
  }

  // Attention of each new token to each position, [rows, keys], of what `loadRows` has brought; null without whole rows.
  rows(choice) {
    if (!this.hasRows) return null;
    if (choice.layer === null) return this.means.get(choice.sink);
    const key = `${choice.layer}/${choice.head}/${choice.sink}`;
    if (!this.aggregates.has(key)) {
      if (this.aggregates.size > 8) this.aggregates.clear();
      this.aggregates.set(key, this.aggregated(choice));
    }
    return this.aggregates.get(key);
  }

  aggregated({ layer, head, sink }) {
    const { rows, heads, sinks, first_position: first } = this.manifest;
    const out = new Float32Array(rows * this.keys);
    const [values, width] = head === null ? [this.layerRows.get(layer), 1] : [this.heads.get(layer).rows, heads];
    for (let row = 0; row < rows; row++) {
      const at = (row * width + (head ?? 0)) * this.keys;
      this.copyRow(out, row * this.keys, values, at, first + row + 1, sink === 'drop' ? sinks : []);
    }
    return out;
  }

  // A row without its sinks, renormalised.
  copyRow(out, to, values, from, seen, sinks) {
    const table = Attn.halves;
    let scale = 1;
    if (sinks.length) {
      let left = 0;
      for (let key = 0; key < seen; key++) left += table[values[from + key]];
      for (const sink of sinks) left -= table[values[from + sink]];
      scale = left > 0 ? 1 / left : 0;
    }
    for (let key = 0; key < seen; key++) out[to + key] = table[values[from + key]] * scale;
    for (const sink of sinks) out[to + sink] = 0;
  }

  // Mass of each new token on a span, from sums.
  spanSteps(label, { layer, head, sink }) {
    const { rows, layers, heads } = this.manifest;
    const span = this.span(label);
    if (head !== null) {
      const { sums } = this.heads.get(layer);
      return Float64Array.from({ length: rows }, (_, row) => this.mass(sums, row * heads + head, span, sink));
    }
    const chosen = layer === null ? [...Array(layers).keys()] : [layer];
    const ofRow = (row) => chosen.reduce((sum, number) => sum + this.mass(this.sums, row * layers + number, span, sink), 0);
    return Float64Array.from({ length: rows }, (_, row) => ofRow(row) / chosen.length);
  }

  // The span's mass in one line of sums, renormalised if sinks are dropped.
  mass(sums, line, { number, inColumn }, sink) {
    const at = line * this.columns;
    const [first, all, own] = [sums[at], sums[at + 1], sums[at + 2 + number]];
    if (sink === 'keep') return own;
    return all < 1 ? (own - inColumn[0] * first - inColumn[1] * all) / (1 - all) : 0;
  }

  // Means of single heads are those of the rows' values where the record has what that needs, else ratios of means.
  headMean(sink) { return sink === 'keep' || this.shares ? 'rows' : 'ratio'; }

  // Mass on a span by layer and head, mean over new tokens.
  headMatrix(label, sink, mean = this.headMean(sink)) {
    const { layers, heads, spans } = this.manifest;
    const span = this.span(label);
    const of = (line) => (sink === 'drop' && mean === 'rows' ? this.shares[line * spans.length + span.number]
      : this.mass(this.profile, line, span, sink));
    return Array.from({ length: layers }, (_, layer) => Array.from({ length: heads }, (__, head) => of(layer * heads + head)));
  }

  layerProfile(label, sink) {
    const of = (layer) => Attn.mean(this.spanSteps(label, { layer, head: null, sink }));
    return Array.from({ length: this.manifest.layers }, (_, layer) => of(layer));
  }

  // Spans that people ask for; the others help measurements.
  shownSpans() {
    return this.manifest.spans.filter(({ label }) => !label.includes(':without_last') && !label.startsWith('control_'));
  }
};

Attn.mean = (values) => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);

// A number as people read it: four digits, and all of those before the point.
Attn.number = (value) => {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size < 1e15 && (size >= 1e4 || Number.isInteger(value))) return String(Math.round(value));
  return size >= 1e-3 && size < 1e4 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
};
