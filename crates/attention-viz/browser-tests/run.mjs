// The page in headless Chromium: node run.mjs BASE_URL STANDALONE_HTML EXPORTS SEVERAL_URL
//
// EXPORTS is a folder of what `attention-viz export` has made of the same records; SEVERAL_URL serves two runs of one name. The
// records are those of tests/browser.rs.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { launch, ready } from './chromium.mjs';

const [base, standalone, exports, several] = process.argv.slice(2);
const browser = await launch();
const problems = [];
// What a check makes the browser itself report, such as an answer the server refuses.
let expected = null;
// Machines that build beside the test are slow: the bounds themselves are asked for with STRICT_TIMES=1.
const slack = process.env.STRICT_TIMES ? 1 : 10;
const allViews = ['map', 'spans', 'heads', 'compare', 'turns'];

const open = async (address, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error' && !expected?.test(message.text())) problems.push(message.text()); });
  page.on('dialog', (dialog) => { problems.push(`a dialog said ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(address);
  await ready(page);
  return page;
};
// Until what the state asks for is shown.
const settled = (page) => page.waitForSelector('#view[aria-busy=false]');
const numbersOf = (page) => page.$$eval('#numbers dd', (cells) => Object.fromEntries(cells.map((cell) => [cell.dataset.number, cell.textContent])));
const median = (values) => values.sort((left, right) => left - right)[Math.floor(values.length / 2)];

// The mass on a range of tokens, computed from the raw array with sinks dropped, layer by layer.
const massByHand = (page, id, first, last) => page.evaluate(async ([record, from, to]) => {
  const manifest = await (await fetch(`api/record/0/${record}`)).json();
  const response = await fetch(`api/tensor/0/${record}/layer_rows`);
  const [rows, layers, keys] = response.headers.get('x-shape').split(',').map(Number);
  const bits = new Uint16Array(await response.arrayBuffer());
  const float = (half) => {
    const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
    return exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  };
  let mass = 0;
  for (let row = 0; row < rows; row++) {
    for (let layer = 0; layer < layers; layer++) {
      const weights = Array.from(bits.subarray((row * layers + layer) * keys, (row * layers + layer + 1) * keys), float);
      manifest.sinks.forEach((sink) => { weights[sink] = 0; });
      const sum = weights.reduce((total, weight) => total + weight, 0);
      mass += weights.slice(from, to + 1).reduce((total, weight) => total + weight, 0) / sum;
    }
  }
  return mass / rows / layers;
}, [id, first, last]);

const download = async (page, selector) => {
  const [file] = await Promise.all([page.waitForEvent('download'), page.click(selector)]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
};

// A table from CSV; its cells as texts.
const parsed = (text) => {
  const rows = [[]];
  for (const [, comma, quoted, plain] of text.trim().matchAll(/(^|,|\n)(?:"((?:[^"]|"")*)"|([^",\n]*))/g)) {
    if (comma === '\n') rows.push([]);
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
  }
  return rows;
};
const table = async (page, selector) => parsed((await download(page, `${selector} [data-export=csv]`)).bytes.toString());
const exported = (folder, name) => parsed(readFileSync(join(exports, folder, `${name}.csv`)).toString());

// Two tables with the same columns and texts, and the same numbers up to rounding.
const assertSame = (found, expected, what) => {
  assert.deepEqual(found[0], expected[0], what);
  assert.equal(found.length, expected.length, what);
  found.forEach((row, line) => row.forEach((cell, column) => {
    const [left, right] = [cell, expected[line][column]];
    const isNumber = line > 0 && right !== '' && Number.isFinite(Number(right));
    const near = isNumber && Math.abs(left - right) < 1e-6 + 1e-3 * Math.abs(right);
    assert.ok(near || left === right, `${what}, line ${line}, ${expected[0][column]}: ${left}, expected ${right}`);
  }));
};

// Rows of single heads as the server has them, [row][head][key], without their sinks and renormalised.
const headRows = (page, id, layer) => page.evaluate(async ([record, number]) => {
  const { sinks } = await (await fetch(`api/record/0/${record}`)).json();
  const response = await fetch(`api/tensor/0/${record}/head_rows?layer=${number}`);
  const [rows, heads, keys] = response.headers.get('x-shape').split(',').map(Number);
  const bits = new Uint16Array(await response.arrayBuffer());
  const row = (at) => {
    const weights = Array.from(bits.subarray(at * keys, (at + 1) * keys), (half) => Attn.halves[half]);
    sinks.forEach((sink) => { weights[sink] = 0; });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return weights.map((weight) => weight / sum);
  };
  return Array.from({ length: rows }, (_, at) => Array.from({ length: heads }, (__, head) => row(at * heads + head)));
}, [id, layer]);
const spanOf = (page, id, label) => page.evaluate(async ([record, name]) => (await (await fetch(`api/record/0/${record}`)).json())
  .spans.find((span) => span.label === name).tokens, [id, label]);
const massOn = (weights, { start, end }) => weights.slice(start, end).reduce((sum, weight) => sum + weight, 0);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const contrasts = (page, selector) => page.evaluate((tokens) => {
  // Mixed colours are told in parts of 1, others in parts of 255.
  const parse = (text) => text.match(/[\d.]+/g).map((part, at) => Number(part) * (text.startsWith('color') && at < 3 ? 255 : 1));
  const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const [r, g, b, alpha = 1] = parse(getComputedStyle(element).backgroundColor);
    const below = alpha < 1 ? behind(element.parentElement) : [0, 0, 0];
    return [r, g, b].map((value, at) => value * alpha + below[at] * (1 - alpha));
  };
  return Math.min(...[...document.querySelectorAll(tokens)].map((token) => {
    const ink = parse(token instanceof SVGElement ? getComputedStyle(token).fill : getComputedStyle(token).color);
    const [one, two] = [light(ink), light(behind(token))].sort((left, right) => right - left);
    return (one + 0.05) / (two + 0.05);
  }));
}, selector);

const svgProblem = (page, text) => page.evaluate((svg) => {
  const document = new DOMParser().parseFromString(svg, 'image/svg+xml');
  const wrong = document.querySelector('parsererror');
  return wrong ? wrong.textContent : document.querySelectorAll('rect, circle, text').length > 3 ? '' : 'it is empty';
}, text);

const checks = {
  async 'a long record paints soon, and selecting is quick'() {
    const paints = [];
    const colours = [];
    let page;
    for (let round = 0; round < 5; round++) {
      page = await open(`${base}#id=record-1`);
      await page.waitForFunction(() => Attn.timings.firstColours !== undefined);
      paints.push(await page.evaluate(() => Attn.timings.firstPaint));
      colours.push(await page.evaluate(() => Attn.timings.firstColours));
      if (round < 4) await page.context().close();
    }
    assert.equal(await page.textContent('#about h2'), 'Offer Hope · c1_hf · turn 3');
    assert.equal(await page.$$eval('.map .t', (tokens) => tokens.length), 1200);
    assert.ok(await page.$$eval('.map .prompt .t', (tokens) => tokens.filter((token) => token.style.backgroundColor).length) > 100, 'it is coloured');
    await page.focus('#map');
    const times = [];
    for (let step = 0; step < 30; step++) {
      await page.keyboard.press('Shift+ArrowRight');
      times.push(await page.evaluate(() => Attn.timings.lastSelection));
    }
    for (let step = 0; step < 10; step++) {
      await page.keyboard.press(']');
      times.push(await page.evaluate(() => Attn.timings.lastSelection));
    }
    const [paint, coloured, selection] = [median(paints), median(colours), median(times)];
    console.log(`first paint ${paint.toFixed(0)} ms, with colours ${coloured.toFixed(0)} ms, selection ${selection.toFixed(1)} ms (medians; slowest ${Math.max(...times).toFixed(1)} ms)`);
    assert.ok(paint < 500 * slack && coloured < 500 * slack, `first paint takes ${paint} ms, with colours ${coloured} ms`);
    assert.ok(selection < 16 * slack, `a selection takes ${selection} ms`);
    await page.context().close();
  },

  async 'a span chosen by keyboard has the numbers of the raw array'() {
    const page = await open(`${base}#id=record-1`);
    const { start, end } = await page.evaluate(async () => (await (await fetch('api/record/0/record-1')).json())
      .spans.find((span) => span.label === 'strategy_name').tokens);
    // Tab reaches the chip of the span, Enter presses it.
    await page.focus('.chip');
    while (await page.evaluate(() => document.activeElement.textContent) !== 'strategy_name') await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const found = await numbersOf(page);
    const expected = await massByHand(page, 'record-1', start, end - 1);
    assert.equal(found.tokens, `${end - start} (${start} to ${end - 1})`);
    assert.ok(Math.abs(Number(found['attention (mass)']) / expected - 1) < 1e-3, `${found['attention (mass)']}, by hand ${expected}`);
    assert.ok(Math.abs(Number(found['per token']) * (end - start) / expected - 1) < 1e-3);
    assert.equal(await page.$$eval('.map .chosen', (tokens) => tokens.length), end - start);
    assert.equal(await page.$$eval('#top li', (rows) => rows.length), 20);
    // Sinks kept: the mass falls, because position 0 has much of it.
    await page.keyboard.press('s');
    await settled(page);
    assert.ok(Number((await numbersOf(page))['attention (mass)']) < Number(found['attention (mass)']));
    await page.keyboard.press('Escape');
    assert.equal(await page.textContent('#details-title'), 'All new tokens');
    await page.context().close();
  },

  async 'new tokens are selected with the mouse and hovering tells value and rank'() {
    const page = await open(`${base}#id=record-3`);
    const tokens = await page.$$('.map .t');
    const [first, last] = await Promise.all([tokens[60].boundingBox(), tokens[63].boundingBox()]);
    await page.mouse.move(first.x + 3, first.y + 5);
    await page.mouse.down();
    await page.mouse.move(last.x + 3, last.y + 5, { steps: 4 });
    await page.mouse.up();
    assert.equal((await numbersOf(page)).tokens, '4 (60 to 63)');
    await tokens[12].hover();
    assert.match(await page.textContent('#tip'), /prompt token 12 · .* · rank \d+ of 72/);
    await page.context().close();
  },

  async 'a click on a head restricts everything, and the address keeps it'() {
    const page = await open(`${base}#id=record-3&view=heads`);
    await page.click('rect[data-layer="1"][data-head="2"]');
    await page.waitForSelector('#restricted:not([hidden])');
    assert.match(await page.textContent('#restricted'), /layer 1, head 2/);
    assert.ok(!(await page.textContent('#restricted')).includes('no rows of single heads'));
    await page.selectOption('select[aria-label="Order"]', 'layers');
    await page.waitForFunction(() => location.hash.includes('order=layers'));
    const top = await page.textContent('#top');
    await page.reload();
    await ready(page);
    assert.match(await page.textContent('#restricted'), /layer 1, head 2/);
    assert.equal(await page.textContent('#top'), top);
    assert.equal(await page.$eval('select[aria-label="Order"]', (select) => select.value), 'layers');
    // Another record keeps the choice, however it is chosen.
    for (const go of [() => page.keyboard.press('n'), () => page.keyboard.press('p'), () => page.click('[data-key="0/record-5"]'), () => page.click('[data-key="0/record-3"]')]) {
      const before = page.url();
      await go();
      await page.waitForFunction((address) => location.href !== address && document.querySelector('#view').ariaBusy === 'false', before);
      assert.match(await page.textContent('#restricted'), /layer 1, head 2/);
    }
    await page.click('rect[data-layer="1"][data-head="2"]');
    await page.waitForSelector('#restricted', { state: 'hidden' });
    await page.goBack();
    await page.context().close();
  },

  async 'A and B are compared, and both stay in the address'() {
    const page = await open(`${base}#id=record-1`);
    await page.keyboard.press('4');
    await page.selectOption('#partner', '0/record-2');
    await page.waitForSelector('text=B: Offer Hope');
    const title = await page.textContent('.sides');
    assert.match(title, /c1_hf/);
    assert.match(title, /standard/);
    for (const [label, a, b, difference] of (await table(page, '.pair .figure:last-child')).slice(1)) assert.ok(Math.abs(b - a - difference) < 1e-12, label);
    await page.reload();
    await ready(page);
    assert.equal(await page.$eval('#partner', (select) => select.value), '0/record-2');
    await page.context().close();
  },

  async 'every figure leaves as SVG, PNG and CSV, whatever its texts hold'() {
    const figures = { map: 1, spans: 1, heads: 2, compare: 3, turns: 1 };
    for (const [id, b] of [['record-3', 'record-4'], ['record-42', 'record-3']]) {
      const page = await open(`${base}#id=${id}&b=0/${b}`);
      for (const view of allViews) {
        await page.click(`[data-view=${view}]`);
        await settled(page);
        const buttons = await page.$$('#view [data-export]');
        assert.equal(buttons.length, 3 * figures[view], `${id}, ${view}`);
        for (const button of buttons) {
          const what = `${id}, ${view}, ${await button.getAttribute('data-export')}`;
          const [file] = await Promise.all([page.waitForEvent('download'), button.click()]);
          const bytes = readFileSync(await file.path());
          if (what.endsWith('svg')) {
            assert.equal(await svgProblem(page, bytes.toString()), '', what);
            assert.ok(!/NaN|Infinity|undefined|textLength/.test(bytes.toString()), `${what}: not a number, or letters that are stretched`);
          } else if (what.endsWith('png')) {
            assert.equal(bytes.subarray(1, 4).toString(), 'PNG', what);
          } else {
            assert.ok(bytes.toString().split('\n').length > 3, what);
          }
        }
        assert.equal(await page.$$eval('#view details', (tables) => tables.length), figures[view], `${view}: a table beside every figure`);
      }
      assert.ok(await page.isHidden('#message'), await page.textContent('#message'));
      await page.context().close();
    }
  },

  async 'a head restricts every view to what its own rows say'() {
    const page = await open(`${base}#id=record-3&b=0/record-4&view=spans&layer=1&head=3`);
    assert.match(await page.textContent('#restricted'), /restricted to layer 1, head 3/);
    const span = await spanOf(page, 'record-3', 'strategy_name');
    const byHand = async (id) => (await headRows(page, id, 1)).map((heads) => massOn(heads[3], span));
    const [ofA, ofB] = [await byHand('record-3'), await byHand('record-4')];
    const steps = (await table(page, '#view')).filter(([label]) => label === 'strategy_name').map((row) => Number(row[3]));
    steps.forEach((value, row) => assert.ok(Math.abs(value - ofA[row]) < 2e-4, `new token ${row}: ${value}, by hand ${ofA[row]}`));
    assert.match(await page.textContent('#view h2'), /layer 1, head 3/);
    assert.ok(!('sra' in await numbersOf(page)), 'the record\'s own numbers are of all heads');
    await page.keyboard.press('5');
    await page.waitForSelector('text=does not count here');
    await page.keyboard.press('4');
    await page.waitForSelector('.pair');
    const bars = (await table(page, '.pair .figure:last-child')).find(([label]) => label === 'strategy_name').slice(1).map(Number);
    [mean(ofA), mean(ofB)].forEach((value, side) => assert.ok(Math.abs(bars[side] - value) < 2e-4, `${'AB'[side]}: ${bars[side]}, by hand ${value}`));
    const tokens = (await table(page, '.figure:has(#token-difference)')).slice(1);
    const weights = await Promise.all(['record-3', 'record-4'].map((id) => headRows(page, id, 1)));
    for (const [, at, to, text, a, b] of tokens) {
      const [left, right] = [weights[0].map((heads) => heads[3][at]), weights[1].map((heads) => heads[3][to])].map(mean);
      assert.ok(Math.abs(a - left) < 1e-5 && Math.abs(b - right) < 1e-5, `${text}: ${a} and ${b}, by hand ${left} and ${right}`);
    }
    // B has no single heads: then both sides show the layer, and the page says so.
    await page.selectOption('#partner', '0/record-45');
    await page.waitForSelector('text=B has no rows of single heads: both show the whole layer 1');
    assert.ok(!(await page.textContent('main')).includes('restricted to'), 'what is shown is told once');
    assert.match(await page.textContent('.figure:has(#token-difference) h2'), /\(layer 1\)/);
    await page.context().close();
  },

  async 'what can not be restricted is told with its reason'() {
    const page = await open(`${base}#id=record-3&layer=1&head=77`);
    const told = async (address) => {
      await page.goto(`${base}#${address}`);
      await page.waitForFunction(() => document.querySelector('#view').ariaBusy === 'false' && location.hash.includes(`id=${record.id}`));
      return (await page.textContent('#restricted')).replace(/show all layers$/, '').trim();
    };
    assert.equal(await told('id=record-4&layer=1&head=77'), 'This record has no head 77: it shows the whole layer 1.');
    assert.equal(await told('id=record-5&layer=7&head=1'), 'This record has no layer 7: it shows all layers.');
    assert.equal(await told('id=record-45&layer=1&head=1'), 'This record has no rows of single heads: it shows the whole layer 1.');
    assert.equal(await told('id=record-4&layer=2&head=1&view=compare&b=0/record-44'), 'B has no layer 2: both show all layers.');
    assert.equal(await told('id=record-44&layer=1&head=3&view=compare&b=0/record-45'), 'A has no head 3, B has no rows of single heads: both show the whole layer 1.');
    await page.context().close();
  },

  async 'an open table follows the selection'() {
    const page = await open(`${base}#id=record-3`);
    await page.click('#view summary');
    const cells = () => page.$$eval('#view tbody tr', (rows) => rows.map((row) => row.lastElementChild.textContent));
    await page.waitForSelector('#view tbody tr');
    const before = await cells();
    for (const key of [']', ']', 'Escape']) {
      await page.keyboard.press(key);
      const shown = await cells();
      const saved = (await table(page, '#view')).slice(1).map((row) => Number(row.at(-1)));
      const expected = await page.evaluate((values) => values.map(Attn.number), saved);
      assert.deepEqual(shown, expected, `after ${key}`);
      assert.equal(shown.join() === before.join(), key === 'Escape', 'other values');
    }
    await page.context().close();
  },

  async 'the mark of a selection goes with it'() {
    const page = await open(`${base}#id=record-3&view=spans&sel=62-64`);
    const marks = () => page.$$eval('#view rect[fill=none][pointer-events=none]:not(.ring *)', (marks) => marks.length);
    assert.equal(await marks(), 1);
    await page.keyboard.press('Escape');
    assert.equal(await marks(), 0);
    await page.context().close();
  },

  async 'saved pictures name what they show'() {
    const page = await open(`${base}#id=record-3&b=0/record-4&layer=1&head=3&sink=keep`);
    const drawn = async (selector) => {
      const svg = (await download(page, `${selector} [data-export=svg]`)).bytes.toString();
      return page.evaluate((text) => [...new DOMParser().parseFromString(text, 'image/svg+xml').querySelectorAll('text')].map((part) => part.textContent).join(' '), svg);
    };
    const [a, b] = ['Share Information · c1_hf · turn 3 · sample · record-3', 'Share Information · standard · turn 3 · sample · record-4'];
    assert.ok((await drawn('#view')).startsWith(`Prompt and new tokens (layer 1, head 3, sinks kept) ${a}`), await drawn('#view'));
    await page.keyboard.press('2');
    await settled(page);
    assert.ok((await drawn('#view')).startsWith(`Attention of each new token to each span (layer 1, head 3, sinks kept) ${a}`));
    await page.keyboard.press('3');
    await settled(page);
    // All layers and heads are in it.
    assert.ok((await drawn('#view .figure:first-child')).startsWith(`Attention to strategy_name (sinks kept) ${a}`));
    await page.keyboard.press('4');
    await page.waitForSelector('.pair');
    for (const selector of ['.figure:has(#token-difference)', '.pair .figure:first-child', '.pair .figure:last-child']) {
      const text = await drawn(selector);
      assert.ok(text.includes('sinks kept)') && text.replaceAll('\n', ' ').includes(`A: ${a} B: ${b}`), text);
    }
    await page.context().close();
  },

  async 'models and runs of one name are told apart over turns'() {
    const page = await open(`${several}#view=turns`);
    const rows = (await table(page, '#view')).slice(1);
    assert.deepEqual(rows.map(([line, turn, , , , records]) => [line, turn, records]), [['large · c1_hf', '3', '2'], ['large · c1_hf', '4', '1'],
      ['small · c1_hf', '3', '1'], ['small · c1_hf', '5', '315']]);
    // One conversation alone gives no interval, in the CSV, the table, the label and the picture.
    assert.deepEqual(rows.map(([, , , low, high]) => [low === '', high === '']), [[false, false], [true, true], [true, true], [false, false]]);
    await page.click('#view summary');
    await page.waitForSelector('#view tbody tr:nth-child(2)');
    assert.deepEqual(await page.$$eval('#view tbody tr:nth-child(2) td', (cells) => cells.slice(3, 5).map((cell) => cell.textContent)), ['–', '–']);
    assert.match(await page.getAttribute('[data-cell="turn/large · c1_hf/4"]', 'aria-label'), /^large · c1_hf, turn 4: [\d.]+ \[–\], 1 record$/);
    assert.equal(await page.$$eval('#view svg polygon', (bands) => bands.length), 0, 'no band of a single point');
    await page.selectOption('select[aria-label=lines]', 'run');
    await page.waitForFunction(() => location.hash.includes('by=run'));
    await settled(page);
    assert.deepEqual([...new Set((await table(page, '#view')).slice(1).map(([line]) => line))], ['large · run', 'small · run-2']);
    await page.selectOption('select[aria-label=lines]', 'strategy');
    await page.waitForFunction(() => location.hash.includes('by=strategy'));
    await settled(page);
    assert.ok((await page.textContent('#view svg')).includes('small · Avoid Judgment and Criticism, whatever the seeker says'), 'names are whole');
    const boxes = await page.$$eval('#view svg > text', (texts) => texts.map((text) => text.getBoundingClientRect()).map(({ x, y, right, bottom }) => ({ x, y, right, bottom })));
    boxes.forEach((one, at) => boxes.slice(at + 1).forEach((other) => assert.ok(one.right <= other.x || other.right <= one.x || one.bottom <= other.y + 3 || other.bottom <= one.y + 3, 'labels do not overlap')));
    await page.context().close();
  },

  async 'every record can be compared with, on a narrow screen too'() {
    const page = await open(`${several}#view=compare&id=record-1&b=1/record-99`, { viewport: { width: 390, height: 800 } });
    assert.equal(await page.$eval('#partner', (select) => select.value), '1/record-99', 'the present one is always listed');
    const count = () => page.$$eval('#partner optgroup option', (options) => options.length);
    assert.equal(await count(), 301);
    await page.selectOption('#partner', 'all');
    await settled(page);
    assert.equal(await count(), 318);
    assert.equal(await page.$eval('#partner', (select) => select.value), '1/record-99');
    for (const view of allViews) {
      await page.click(`[data-view=${view}]`);
      await settled(page);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${view} is as wide as the screen`);
      const wide = await page.$$eval('select', (selects) => selects.filter((select) => select.getBoundingClientRect().right > innerWidth).map((select) => select.outerHTML.slice(0, 80)));
      assert.deepEqual(wide, [], view);
    }
    await page.context().close();
  },

  async 'no text turns its neighbours'() {
    const page = await open(`${several}#id=record-1`);
    assert.equal(await page.textContent('#map [data-at="20"]'), 'left \ufffdturned');
    const svg = (await download(page, '#view [data-export=svg]')).bytes.toString();
    assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(svg) && svg.includes('left \ufffdturned'));
    for (const view of allViews) {
      await page.click(`[data-view=${view}]`);
      await settled(page);
      assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(await page.evaluate(() => document.body.textContent)), view);
    }
    // The table leaves as it is.
    await page.click('[data-view=map]');
    assert.ok((await download(page, '#view [data-export=csv]')).bytes.toString().includes('left \u202eturned'));
    await page.context().close();
  },

  async 'numbers keep all digits before the point'() {
    const page = await open(`${several}#id=record-1`);
    assert.equal((await numbersOf(page)).count, '12345');
    assert.deepEqual(await page.evaluate(() => [12345.6, -123456, 0.00123456, 9876.54, 0, 3].map(Attn.number)), ['12346', '-123456', '0.001235', '9877', '0', '3']);
    await page.context().close();
  },

  async 'the page and the export give the same tables'() {
    for (const [folder, address] of [['whole', ''], ['head', '&layer=1&head=3'], ['kept', '&sink=keep']]) {
      const page = await open(`${base}#id=record-3&b=0/record-4${address}`);
      const figures = { map: { 'record-3.map': '#view' }, spans: { 'record-3.spans': '#view' },
        heads: { 'record-3.heads': '#view .figure:first-child', 'record-3.layers': '#view .figure:last-child' },
        compare: { 'record-3-against-record-4.compare-tokens': '.figure:has(#token-difference)', 'record-3-against-record-4.compare-heads': '.pair .figure:first-child',
          'record-3-against-record-4.compare': '.pair .figure:last-child' },
        turns: { turns: '#view' } };
      for (const view of allViews) {
        await page.click(`[data-view=${view}]`);
        await settled(page);
        for (const [name, selector] of Object.entries(figures[view])) assertSame(await table(page, selector), exported(folder, name), `${folder}, ${name}`);
      }
      await page.context().close();
    }
  },

  async 'layers and heads are means of rows, and what is none says so'() {
    const page = await open(`${base}#id=record-3&view=heads`);
    const span = await spanOf(page, 'record-3', 'strategy_name');
    const [columns, ...cells] = await table(page, '#view .figure:first-child');
    assert.deepEqual(columns, ['layer', 'head', 'attention']);
    for (const layer of [0, 1, 2]) {
      const rows = await headRows(page, 'record-3', layer);
      for (const [, head, value] of cells.filter((cell) => Number(cell[0]) === layer)) {
        const expected = mean(rows.map((heads) => massOn(heads[head], span)));
        assert.ok(Math.abs(value / expected - 1) < 2e-3, `layer ${layer}, head ${head}: ${value}, by hand ${expected}`);
      }
    }
    await page.goto(`${base}#id=record-45&view=heads`);
    await page.waitForSelector('h2:has-text("(ratio of means)")');
    assert.equal((await table(page, '#view .figure:first-child'))[0][2], 'attention (ratio of means)');
    // A difference of two kinds of means would be none: both are ratios then.
    await page.goto(`${base}#id=record-3&view=compare&b=0/record-45`);
    await page.waitForSelector('.pair');
    assert.deepEqual((await table(page, '.pair .figure:first-child'))[0].slice(2), ['A', 'B', 'difference'].map((name) => `${name} (ratio of means)`));
    await page.keyboard.press('s');
    await page.waitForFunction(() => location.hash.includes('sink=keep'));
    assert.deepEqual((await table(page, '.pair .figure:first-child'))[0].slice(2), ['A', 'B', 'difference']);
    await page.context().close();
  },

  async 'a damaged record says so, and nothing of another stays'() {
    expected = /status of 422/;
    const page = await open(`${base}#id=record-3`);
    await page.click('[data-key="0/record-41"]');
    await page.waitForSelector('#message:not([hidden])');
    assert.match(await page.textContent('#message'), /could not be shown: .*record-41\.attn: .*not finite/);
    assert.match(await page.textContent('#about h2'), /^damaged/);
    for (const view of ['1', '2', '3', '4', '5', ']', 's', 't', 'Escape']) {
      await page.keyboard.press(view);
      await page.waitForSelector('#message:not([hidden])');
      assert.equal(await page.textContent('#numbers') + await page.textContent('#top'), '', `after ${view}`);
    }
    assert.equal(await page.$$eval('#view .t', (tokens) => tokens.length), 0);
    // As B it spoils only the comparison.
    await page.click('[data-key="0/record-3"]');
    await settled(page);
    await page.click('[data-view=compare]');
    await page.selectOption('#partner', '0/record-41');
    await page.waitForSelector('text=B could not be shown');
    assert.equal((await numbersOf(page)).tokens, '12 (60 to 71)');
    await page.selectOption('#partner', '0/record-4');
    await page.waitForSelector('.pair');
    await page.context().close();
  },

  async 'going on quickly ends at the record of the address'() {
    for (const view of allViews) {
      const page = await open(`${base}#id=record-3&view=${view}&b=0/record-4`);
      // Every answer is late, and the later one asks the sooner it comes.
      let asked = 0;
      await page.route('**/api/{record,tensor}/**', async (route) => {
        const late = Math.max(0, 60 - asked++);
        await new Promise((done) => { setTimeout(done, 5 * late); });
        await route.continue().catch(() => {});
      });
      const ids = await page.evaluate(() => index.runs[0].records.map(({ id }) => id));
      for (let press = 0; press < 12; press++) await page.keyboard.press('n');
      const id = ids[(ids.indexOf('record-3') + 12) % ids.length];
      // Opening a record from over the turns leads to its map, by keyboard too.
      await page.waitForFunction((wanted) => record && record.id === wanted && document.querySelector('#view').ariaBusy === 'false', id);
      assert.ok(page.url().includes(`id=${id}`), page.url());
      const { strategy, layout, turn } = await page.evaluate(() => record.manifest.record);
      assert.equal(await page.textContent('#about h2'), `${strategy} · ${layout} · turn ${turn}`);
      await page.unrouteAll({ behavior: 'wait' });
      const [shown, expected] = [await page.textContent('#numbers'), await open(`${base}#id=${id}`)];
      assert.equal(shown, await expected.textContent('#numbers'), `${view}: the numbers are those of ${id}`);
      await expected.context().close();
      await page.context().close();
    }
  },

  async 'what A and B do not share is told as it is'() {
    const page = await open(`${base}#id=record-3&view=compare&b=0/record-43`);
    await page.waitForSelector('.pair');
    const spans = await page.$$eval('select[aria-label=Span] option', (options) => options.map((option) => option.value));
    assert.ok(spans.length > 2 && !spans.includes('strategy_name'), String(spans));
    assert.ok(!(await page.textContent('#view')).includes('compared: A has'));
    await page.selectOption('select[aria-label=Span]', 'situation');
    await page.waitForSelector('h2:has-text("situation")');
    await page.selectOption('#partner', '0/record-44');
    await page.waitForSelector('text=A has 3 layers × 4 heads, B 2 × 2');
    assert.ok(await page.isVisible('select[aria-label=Span]'));
    await page.context().close();
  },

  async 'a selection outside the record is cut or dropped'() {
    const page = await open(`${base}#id=record-3&sel=9999-99999`);
    assert.equal(await page.textContent('#details-title'), 'All new tokens');
    assert.ok(!page.url().includes('sel='), page.url());
    await page.goto(`${base}#id=record-3&sel=70-99999`);
    await page.waitForFunction(() => location.hash.includes('sel=70-71'));
    assert.equal((await numbersOf(page)).tokens, '2 (70 to 71)');
    await page.goto(`${base}#id=record-3&b=9/nothing&view=compare&sel=abc&layer=99999999999&order=x&by=y&sink=z`);
    await page.waitForSelector('text=Choose a second record');
    assert.equal(await page.$eval('#sink', (select) => select.value), 'drop');
    await page.context().close();
  },

  async 'going back brings the search with it'() {
    const page = await open(`${base}#id=record-3`);
    await page.click('[data-key="0/record-5"]');
    await settled(page);
    await page.fill('#search', 'standard turn 5');
    assert.equal(await page.textContent('#found'), '3 records');
    await page.goBack();
    await page.waitForFunction(() => location.hash.includes('record-3'));
    assert.equal(await page.inputValue('#search'), '');
    assert.equal(await page.textContent('#found'), '45 records');
    await page.goForward();
    await page.waitForFunction(() => location.hash.includes('record-5'));
    assert.equal(await page.inputValue('#search'), 'standard turn 5');
    assert.equal(await page.textContent('#found'), '3 records');
    await page.context().close();
  },

  async 'cells and points are reached by keyboard'() {
    const page = await open(`${base}#id=record-3&view=heads`);
    const now = () => page.evaluate(() => document.activeElement.dataset.cell);
    const tabTo = async (prefix) => {
      for (let step = 0; step < 80 && !(await now() || '').startsWith(prefix); step++) await page.keyboard.press('Tab');
    };
    await page.focus('#view select');
    await tabTo('head/');
    assert.equal(await now(), 'head/0/0');
    for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowDown', 'End', 'ArrowRight', 'ArrowUp']) await page.keyboard.press(key);
    assert.equal(await now(), 'head/1/3');
    assert.ok(await page.$eval('.figure:first-child .ring', (ring) => ring.getAttribute('visibility') === 'visible' && ring.getBoundingClientRect().width > 8));
    assert.match(await page.textContent('#tip'), /layer 1, head 3: /);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#restricted:not([hidden])');
    assert.match(await page.textContent('#restricted'), /layer 1, head 3/);
    assert.equal(await now(), 'head/1/3', 'the focus stays where it was');
    // One stop of the Tab key per figure.
    await page.keyboard.press('Tab');
    assert.ok(!(await now() || '').startsWith('head/'));
    await page.keyboard.press('2');
    await page.waitForSelector('[data-cell^="span/"]');
    await page.focus('[data-cell^="span/"]');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('End');
    const cell = await now();
    await page.keyboard.press('Enter');
    await page.waitForSelector('#map');
    assert.equal((await numbersOf(page)).tokens, `1 (at ${60 + Number(cell.split('/')[2])})`);
    await page.keyboard.press('5');
    await page.waitForSelector('[data-cell^="turn/"]');
    await page.focus('[data-cell^="turn/"]');
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Enter');
    const turn = (await now()).split('/')[2];
    assert.match(await page.textContent('#at-point h3'), new RegExp(`turn ${turn}: \\d+ records`));
    // The tabs are one stop, too.
    await page.focus('[role=tab][aria-selected=true]');
    await page.keyboard.press('ArrowLeft');
    await page.waitForSelector('#partner');
    await page.context().close();
  },

  async 'new tokens stand beside the prompt where there is room'() {
    const boxes = async (width) => {
      const page = await open(`${base}#id=record-3`, { viewport: { width, height: 900 } });
      const found = [await page.locator('.map .prompt').boundingBox(), await page.locator('.map .answer').boundingBox()];
      await page.context().close();
      return found;
    };
    const [prompt, answer] = await boxes(1440);
    assert.ok(answer.x >= prompt.x + prompt.width && Math.abs(answer.y - prompt.y) < 4, 'beside');
    const [above, below] = await boxes(700);
    assert.ok(below.y >= above.y + above.height && Math.abs(below.x - above.x) < 4, 'below');
  },

  async 'both differences are seen without scrolling'() {
    const page = await open(`${base}#id=record-3&view=compare&b=0/record-4`);
    for (const selector of ['#token-difference', '.pair [data-cell="head/0/0"]']) {
      const box = await page.locator(selector).boundingBox();
      assert.ok(box.y + Math.min(box.height, 40) < 900, `${selector} at ${box.y}`);
    }
    await page.context().close();
  },

  async 'labels are whole'() {
    const page = await open(`${base}#id=record-3`);
    assert.match(await page.$eval('.legend', (legend) => legend.innerText.replaceAll('\n', ' ')), /^0 [\d.e-]+ · attention/);
    const clipped = () => page.$$eval('#view svg', (figures) => figures.flatMap((svg) => [...svg.querySelectorAll('text')].filter((text) => {
      const [inner, outer] = [text.getBoundingClientRect(), svg.getBoundingClientRect()];
      return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.top < outer.top - 1 || inner.bottom > outer.bottom + 1;
    }).map((text) => text.textContent)));
    for (const view of ['spans', 'heads', 'compare', 'turns']) {
      await page.goto(`${base}#id=record-3&view=${view}&b=0/record-4`);
      await page.waitForFunction((name) => document.querySelector(`[data-view=${name}]`).getAttribute('aria-selected') === 'true', view);
      await settled(page);
      assert.deepEqual(await clipped(), [], view);
    }
    const turns = await page.$$eval('#view svg text[text-anchor=middle]', (labels) => labels.map((label) => label.textContent).filter((text) => text !== 'supporter turn'));
    assert.deepEqual(turns, ['3', '4', '5', '6', '7', '8']);
    await page.context().close();
  },

  async 'SRA over turns leads to a record'() {
    const page = await open(`${base}#view=turns`);
    assert.match(await page.textContent('#view'), /sra over turns/);
    await page.click('#view circle');
    await page.click('#at-point button');
    await page.waitForSelector('#map');
    assert.match(page.url(), /id=record-/);
    await page.goBack();
    await page.waitForSelector('#view circle');
    await page.context().close();
  },

  async 'records are searched'() {
    const page = await open(base);
    await page.keyboard.press('/');
    await page.keyboard.type('standard turn 5');
    assert.equal(await page.textContent('#found'), '3 records');
    await page.fill('#search', 'run-5 turn 3 c1_hf');
    assert.equal(await page.textContent('#found'), '5 records');
    await page.fill('#search', '<script>alert');
    assert.equal(await page.textContent('#found'), '45 records');
    await page.context().close();
  },

  async 'markup in a dialogue is text'() {
    const page = await open(`${base}#id=record-3`);
    assert.ok((await page.textContent('#map')).includes('<script>window.hacked = 1</script>'));
    assert.ok((await page.textContent('#map')).includes(' "quoted" & \'so\''));
    assert.ok((await page.textContent('#about')).includes('A <b>bold</b> "situation" & more'));
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await page.context().close();
  },

  async 'odd records are shown as far as they go'() {
    for (const id of ['record-39', 'record-40']) {
      const page = await open(`${base}#id=${id}`);
      for (const view of allViews) {
        await page.click(`[data-view=${view}]`);
        if (view === 'compare') await page.selectOption('#partner', '0/record-3');
        await page.waitForFunction((name) => document.querySelector(`[data-view=${name}]`).getAttribute('aria-selected') === 'true', view);
        await settled(page);
        assert.ok(await page.isHidden('#message'), `${id}, ${view}: ${await page.textContent('#message')}`);
        assert.ok(!/NaN|Infinity|undefined/.test(await page.innerHTML('#view')), `${id}, ${view}`);
      }
      await page.click('[data-view=map]');
      await page.keyboard.press(']');
      await page.context().close();
    }
  },

  async 'a page by itself needs no server'() {
    const page = await open(`${pathToFileURL(standalone)}#view=map`);
    assert.equal(await page.$$eval('.map .t', (tokens) => tokens.length), 72);
    await page.keyboard.press(']');
    assert.match((await numbersOf(page))['attention (mass)'], /^0\.\d+/);
    await page.keyboard.press('3');
    assert.equal(await page.$$eval('rect[data-layer]', (cells) => cells.length), 12);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    await page.context().close();
  },

  async 'text keeps its contrast in both themes'() {
    for (const colorScheme of ['light', 'dark']) {
      const page = await open(`${base}#id=record-3&b=0/record-4`, { colorScheme });
      for (const [view, selector] of [['map', '.map .t'], ['map', '.chip'], ['compare', '#token-difference .t'], ['compare', '.pair svg text'], ['compare', '.response'], ['turns', '#view svg text']]) {
        await page.click(`[data-view=${view}]`);
        await page.waitForSelector(selector);
        const least = await contrasts(page, selector);
        assert.ok(least >= 4.5, `${colorScheme}, ${view}, ${selector}: ${least}`);
      }
      await page.context().close();
    }
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks).filter(([name]) => name.includes(process.env.ONLY || ''))) {
  expected = null;
  try {
    await check();
    assert.deepEqual(problems, [], 'the page reported problems');
    console.log(`ok: ${name}`);
  } catch (error) {
    failed += 1;
    problems.length = 0;
    console.log(`FAILED: ${name}\n${error.stack}`);
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
