'use strict';
// Records: where they come from, and the numbers that every view is made of.
window.Attn = { timings: {} };

// Half-precision values by their bits.
Attn.halves = (() => {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
    table[bits] = bits & 32768 ? -size : size;
  }
  return table;
})();

Attn.bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).buffer;

Attn.typed = (buffer, dtype) => (dtype === 'F16' ? new Uint16Array(buffer)
  : dtype === 'U32' ? new Uint32Array(buffer) : new Float32Array(buffer));

// A page that carries its record, or a server that has many.
Attn.source = (() => {
  const element = document.getElementById('embedded');
  if (element) {
    const { manifest, tensors } = JSON.parse(element.textContent);
    const has = tensors.layer_rows ? ['spans', 'layers'] : ['spans'];
    const { layers, heads, rows, prompt_tokens } = manifest;
    const entry = { ...manifest.record, layers, heads, rows, prompt_tokens, has };
    return {
      embedded: true,
      index: async () => ({ runs: [{ name: 'this record', records: [entry] }], problems: [] }),
      manifest: async () => manifest,
      tensor: async (run, id, name) => {
        const found = tensors[name];
        return found ? { shape: found.shape, values: Attn.typed(Attn.bytesOf(found.data), found.dtype) } : null;
      },
    };
  }
  const fetched = async (path) => {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const path = (kind, run, id) => `api/${kind}/${run}/${encodeURIComponent(id)}`;
  return {
    embedded: false,
    index: async () => (await fetched('api/index')).json(),
    manifest: async (run, id) => (await fetched(path('record', run, id))).json(),
    tensor: async (run, id, name, layer) => {
      const query = layer === undefined ? '' : `?layer=${layer}`;
      const response = await fetch(`${path('tensor', run, id)}/${name}${query}`);
      if (response.status === 204) return null;
      if (!response.ok) throw new Error(await response.text());
      const shape = response.headers.get('x-shape').split(',').map(Number);
      return { shape, values: Attn.typed(await response.arrayBuffer(), response.headers.get('x-dtype')) };
    },
    standalone: (run, id) => path('html', run, id),
  };
})();

// A record and what of its arrays has come so far.
Attn.Record = class {
  constructor(run, id, manifest) {
    Object.assign(this, { run, id, manifest, sums: null, profile: null, layerRows: null, headRows: new Map() });
    this.prompt = manifest.prompt_tokens;
    this.keys = manifest.first_position + manifest.rows;
    this.tokens = manifest.token_texts;
    this.aggregates = new Map();
  }

  static async open(run, id) {
    return new Attn.Record(run, id, await Attn.source.manifest(run, id));
  }

  async loadSums() {
    const [sums, profile] = await Promise.all(['span_sums', 'head_profile']
      .map((name) => Attn.source.tensor(this.run, this.id, name)));
    this.sums = sums.values;
    this.profile = profile.values;
  }

  async loadRows() {
    const rows = await Attn.source.tensor(this.run, this.id, 'layer_rows');
    this.layerRows = rows && rows.values;
  }

  async loadHeads(layer) {
    if (this.headRows.has(layer)) return;
    const rows = await Attn.source.tensor(this.run, this.id, 'head_rows', layer);
    this.headRows.set(layer, rows && rows.values);
    this.aggregates.clear();
  }

  get columns() { return 2 + this.manifest.spans.length; }

  column(label) {
    const at = this.manifest.spans.findIndex((span) => span.label === label);
    return at < 0 ? -1 : 2 + at;
  }

  // Attention of each new token to each position, [rows, keys]; null without whole rows.
  rows({ layer, head, sink }) {
    if (!this.layerRows) return null;
    const key = `${layer}/${head}/${sink}`;
    if (!this.aggregates.has(key)) {
      if (this.aggregates.size > 8) this.aggregates.clear();
      this.aggregates.set(key, this.aggregated(layer, head, sink));
    }
    return this.aggregates.get(key);
  }

  aggregated(layer, head, sink) {
    const { rows, layers, heads, sinks, first_position: first } = this.manifest;
    const out = new Float32Array(rows * this.keys);
    const ofHead = head !== null && this.headRows.get(layer);
    const chosen = layer === null ? [...Array(layers).keys()] : [layer];
    for (let row = 0; row < rows; row++) {
      const seen = first + row + 1;
      for (const number of chosen) {
        const [values, at] = ofHead ? [ofHead, (row * heads + head) * this.keys]
          : [this.layerRows, (row * layers + number) * this.keys];
        this.addRow(out, row * this.keys, values, at, seen, sink === 'drop' ? sinks : [], chosen.length);
      }
    }
    return out;
  }

  // Adds a row without its sinks, renormalised, as one of `count` layers.
  addRow(out, to, values, from, seen, sinks, count) {
    const table = Attn.halves;
    let lost = 0;
    let sum = 0;
    for (const sink of sinks) lost += table[values[from + sink]];
    for (let key = 0; key < seen; key++) sum += table[values[from + key]];
    const left = sinks.length ? sum - lost : 1;
    const scale = left > 0 ? 1 / left / count : 0;
    for (let key = 0; key < seen; key++) out[to + key] += table[values[from + key]] * scale;
    for (const sink of sinks) out[to + sink] = 0;
  }

  // Mass of each new token on a span, from sums.
  spanSteps(label, { layer, sink }) {
    const { rows, layers } = this.manifest;
    const column = this.column(label);
    const chosen = layer === null ? [...Array(layers).keys()] : [layer];
    return Float64Array.from({ length: rows }, (_, row) => {
      let sum = 0;
      for (const number of chosen) sum += this.kept(this.sums, (row * layers + number) * this.columns, column, sink);
      return sum / chosen.length;
    });
  }

  // One sum, renormalised if sinks are dropped.
  kept(sums, at, column, sink) {
    const lost = sink === 'drop' ? sums[at + 1] : 0;
    return lost < 1 ? sums[at + column] / (1 - lost) : 0;
  }

  // Mass on a span by layer and head, mean over new tokens.
  headMatrix(label, sink) {
    const { layers, heads } = this.manifest;
    const column = this.column(label);
    const of = (layer, head) => this.kept(this.profile, (layer * heads + head) * this.columns, column, sink);
    return Array.from({ length: layers }, (_, layer) => Array.from({ length: heads }, (__, head) => of(layer, head)));
  }

  layerProfile(label, sink) {
    const of = (layer) => Attn.mean(this.spanSteps(label, { layer, sink }));
    return Array.from({ length: this.manifest.layers }, (_, layer) => of(layer));
  }

  // Spans that people ask for; the others help measurements.
  shownSpans() {
    return this.manifest.spans.filter(({ label }) => !label.includes(':without_last') && !label.startsWith('control_'));
  }
};

Attn.mean = (values) => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);

// A number as people read it: four digits.
Attn.number = (value) => {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e-3 && size < 1e5 ? String(Number(value.toPrecision(4))) : value.toExponential(2);
};
