// The page in headless Chromium: node run.mjs BASE_URL STANDALONE_HTML
//
// Installs playwright-core beside itself if it is not there. Without it, or without a Chromium (CHROMIUM, or in one of the usual
// places), it says that it is skipped and ends well.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const [base, standalone] = process.argv.slice(2);
const skip = (why) => { console.log(`skipped: ${why}`); process.exit(0); };

const playwright = async () => {
  if (!existsSync(join(here, 'node_modules/playwright-core'))) {
    try {
      execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--silent'], { cwd: here, timeout: 120000 });
    } catch (error) {
      skip(`playwright-core could not be installed (${String(error.message).split('\n')[0]})`);
    }
  }
  return import('playwright-core');
};

const chromium = () => [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable']
  .find((path) => path && existsSync(path));

const executablePath = chromium();
if (!executablePath) skip('no Chromium is here (set CHROMIUM to its path)');
const { chromium: driver } = await playwright();
const browser = await driver.launch({ executablePath, args: ['--no-sandbox'] });
const problems = [];
// Machines that build beside the test are slow: the bounds themselves are asked for with STRICT_TIMES=1.
const slack = process.env.STRICT_TIMES ? 1 : 10;

const open = async (address, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  page.on('dialog', (dialog) => { problems.push(`a dialog said ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(address);
  await ready(page);
  return page;
};
const ready = (page) => page.waitForFunction(() => window.Attn && Attn.ready);
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

const checks = {
  async 'a long record paints soon, and selecting is quick'() {
    const paints = [];
    let page;
    for (let round = 0; round < 5; round++) {
      page = await open(`${base}#id=record-1`);
      paints.push(await page.evaluate(() => Attn.timings.firstPaint));
      if (round < 4) await page.context().close();
    }
    assert.equal(await page.textContent('#about h2'), 'Offer Hope · c1_hf · turn 3');
    assert.equal(await page.$$eval('.map .t', (tokens) => tokens.length), 1200);
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
    const [paint, selection] = [median(paints), median(times)];
    console.log(`first paint ${paint.toFixed(0)} ms, selection ${selection.toFixed(1)} ms (medians; slowest ${Math.max(...times).toFixed(1)} ms)`);
    assert.ok(paint < 500 * slack, `first paint takes ${paint} ms`);
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
    const { bytes } = await download(page, '[data-export=csv]');
    const lines = bytes.toString().trim().split('\n').slice(1).map((line) => line.split(','));
    for (const [label, a, b, difference] of lines) assert.ok(Math.abs(b - a - difference) < 1e-12, label);
    assert.ok(lines.length >= 5);
    await page.reload();
    await ready(page);
    assert.equal(await page.$eval('#partner', (select) => select.value), '0/record-2');
    await page.context().close();
  },

  async 'every view leaves as SVG, PNG and CSV'() {
    const page = await open(`${base}#id=record-3`);
    for (const view of ['map', 'spans', 'heads', 'turns']) {
      await page.click(`[data-view=${view}]`);
      const svg = await download(page, '#view [data-export=svg]');
      const problem = await page.evaluate((text) => {
        const parsed = new DOMParser().parseFromString(text, 'image/svg+xml');
        const wrong = parsed.querySelector('parsererror');
        return wrong ? wrong.textContent : parsed.querySelectorAll('rect, circle, text').length > 3 ? '' : 'it is empty';
      }, svg.bytes.toString());
      assert.equal(problem, '', `${view}: ${problem}`);
      assert.ok(!/NaN|Infinity|undefined/.test(svg.bytes.toString()), `${view}: not a number in the SVG`);
      const png = await download(page, '#view [data-export=png]');
      assert.equal(png.bytes.subarray(1, 4).toString(), 'PNG', view);
      const csv = await download(page, '#view [data-export=csv]');
      assert.ok(csv.bytes.toString().split('\n').length > 3, view);
    }
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
    assert.equal(await page.textContent('#found'), '40 records');
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
      for (const view of ['map', 'spans', 'heads', 'compare', 'turns']) {
        await page.click(`[data-view=${view}]`);
        if (view === 'compare') await page.selectOption('#partner', '0/record-3');
        await page.waitForFunction((name) => document.querySelector(`[data-view=${name}]`).getAttribute('aria-selected') === 'true', view);
        await page.waitForTimeout(100);
        assert.ok(!(await page.textContent('#view')).includes('could not be shown'), `${id}, ${view}`);
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
      const page = await open(`${base}#id=record-1`, { colorScheme });
      const least = await page.evaluate(() => {
        const parse = (text) => text.match(/[\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
          .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
          .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
        const page = parse(getComputedStyle(document.body).backgroundColor);
        return Math.min(...[...document.querySelectorAll('.map .t')].map((token) => {
          const style = getComputedStyle(token);
          const [r, g, b, alpha = 1] = parse(style.backgroundColor);
          const under = [r, g, b].map((value, at) => value * alpha + page[at] * (1 - alpha));
          const [one, two] = [light(parse(style.color)), light(under)].sort((left, right) => right - left);
          return (one + 0.05) / (two + 0.05);
        }));
      });
      assert.ok(least >= 4.5, `${colorScheme}: ${least}`);
      await page.context().close();
    }
  },
};

const shoot = async () => {
  mkdirSync(join(here, 'shots'), { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(`${base}#id=record-1`, { colorScheme });
    for (const view of ['map', 'spans', 'heads', 'compare', 'turns']) {
      await page.click(`[data-view=${view}]`);
      if (view === 'compare') await page.selectOption('#partner', '0/record-2');
      await page.waitForTimeout(300);
      await page.screenshot({ path: join(here, 'shots', `${colorScheme}-${view}.png`) });
    }
    await page.context().close();
  }
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
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
if (process.env.SHOTS) await shoot();
await browser.close();
process.exit(failed ? 1 : 0);
