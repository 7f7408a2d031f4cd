// The page of `sra head2head --web` in headless Chromium: node run.mjs BASE_URL
//
// Shares the playwright-core of the attention viewer's tests, and installs it there if it is not. Without it, or without a
// Chromium (CHROMIUM, or in one of the usual places), it says that it is skipped and ends well. SHOTS=1 leaves screenshots.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const shared = join(here, '../../../crates/attention-viz/browser-tests');
const [base] = process.argv.slice(2);
const skip = (why) => { console.log(`skipped: ${why}`); process.exit(0); };

const playwright = () => {
  if (!existsSync(join(shared, 'node_modules/playwright-core'))) {
    try {
      execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock', '--silent'], { cwd: shared, timeout: 120000 });
    } catch (error) {
      skip(`playwright-core could not be installed (${String(error.message).split('\n')[0]})`);
    }
  }
  return createRequire(join(shared, 'package.json'))('playwright-core');
};

const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable']
  .find((path) => path && existsSync(path));
if (!executablePath) skip('no Chromium is here (set CHROMIUM to its path)');
const browser = await playwright().chromium.launch({ executablePath, args: ['--no-sandbox'] });
const problems = [];

const open = async (options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  page.on('dialog', (dialog) => { problems.push(`a dialog said ${dialog.message()}`); dialog.dismiss(); });
  await page.goto(base);
  await page.waitForSelector('#send:enabled');
  return page;
};
const answers = (page) => page.$$eval('.answer p', (cards) => cards.map((card) => card.textContent));
const say = async (page, text) => {
  const before = await page.$$eval('article', (turns) => turns.length);
  await page.fill('#text', text);
  await page.press('#text', 'Enter');
  await page.waitForFunction((count) => document.querySelectorAll('article').length > count && !document.querySelector('.waiting') && page.state.waiting === null, before, { timeout: 120000 });
};

const checks = {
  async 'a text goes to both, and their answers stand beside each other'() {
    const page = await open();
    assert.equal(await page.isVisible('#empty'), true);
    assert.equal(await page.isDisabled('[data-prefer=left]'), true);
    await say(page, 'Hello!');
    const [left, right] = await answers(page);
    assert.ok(left.length > 1 && right.length > 1);
    assert.equal(await page.textContent('.said p'), 'Hello!');
    assert.equal(await page.inputValue('#text'), '');
    assert.equal(await page.isHidden('#empty'), true);
    const [one, other] = await Promise.all((await page.$$('.answer')).map((card) => card.boundingBox()));
    assert.ok(Math.abs(one.y - other.y) < 1 && one.x + one.width < other.x);
    await page.click('text=Left is better');
    await page.waitForSelector('.answer.better');
    assert.equal(await page.getAttribute('.answer.better', 'aria-label'), 'Left answer');
    assert.equal(await page.isDisabled('[data-prefer=left]'), true);
    await page.context().close();
  },

  async 'everything can be done by keyboard'() {
    const page = await open();
    // The text has the focus from the beginning.
    await page.keyboard.type('2 weeks ago I lost my job.');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('= nothing');
    await page.keyboard.press('Enter');
    await page.waitForSelector('[data-prefer=equal]:enabled', { timeout: 120000 });
    assert.equal(await page.textContent('.said p'), '2 weeks ago I lost my job.\n= nothing');
    await page.keyboard.press('Escape');
    await page.keyboard.press('=');
    await page.waitForSelector('text=equally good');
    await page.focus('#choices button');
    for (let step = 0; step < 3; step++) await page.keyboard.press('Tab');
    const chosen = await page.evaluate(() => document.activeElement.textContent);
    await page.keyboard.press('Enter');
    await page.waitForFunction((name) => document.getElementById('strategy').textContent === name, chosen);
    assert.equal(await page.textContent('[aria-pressed=true]'), chosen);
    // The button that was pressed keeps the focus.
    assert.equal(await page.evaluate(() => document.activeElement.textContent), chosen);
    await page.context().close();
  },

  async 'each visitor has their own chat, and a reload keeps it'() {
    const [one, two] = [await open(), await open()];
    await one.click('#choices button:nth-child(8)');
    await one.waitForFunction(() => document.getElementById('strategy').textContent !== 'none');
    await say(one, 'I am tired.');
    await two.reload();
    await two.waitForSelector('#send:enabled');
    assert.equal(await two.textContent('#strategy'), 'none');
    assert.deepEqual(await answers(two), []);
    const before = await answers(one);
    await one.reload();
    await one.waitForSelector('article');
    assert.deepEqual(await answers(one), before);
    assert.match(await one.textContent('.said small'), /answered by the strategy/);
    await one.context().close();
    await two.context().close();
  },

  async 'the models are revealed at the end and cleared away'() {
    const page = await open();
    await say(page, 'Hello!');
    assert.ok(!(await page.textContent('body')).includes('tiny-llama'));
    await page.click('text=Right is better');
    await page.waitForSelector('.answer.better');
    await page.click('#reveal');
    await page.waitForSelector('.heads.revealed');
    const names = await page.$$eval('.heads h2', (heads) => heads.map((head) => head.textContent));
    assert.ok(names.some((name) => name.endsWith('tiny-llama')) && names.some((name) => name.endsWith('.gguf')), String(names));
    assert.equal(await page.isDisabled('#send'), true);
    await page.click('#clear');
    await page.waitForSelector('#send:enabled');
    assert.deepEqual(await answers(page), []);
    assert.equal(await page.textContent('#left-name'), 'Left');
    await page.context().close();
  },

  async 'markup is text'() {
    const page = await open();
    const markup = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>';
    await say(page, markup);
    assert.equal(await page.textContent('.said p'), markup);
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.$$eval('main img, main script', (found) => found.length), 0);
    await page.context().close();
  },

  async 'a narrow screen has one column and no bar at the bottom'() {
    const page = await open({ viewport: { width: 390, height: 800 } });
    await say(page, 'Hello!');
    const [one, other] = await Promise.all((await page.$$('.answer')).map((card) => card.boundingBox()));
    assert.ok(other.y > one.y + one.height - 1 && Math.abs(one.x - other.x) < 1);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth));
    await page.context().close();
  },

  async 'text keeps its contrast in both themes'() {
    for (const colorScheme of ['light', 'dark']) {
      const page = await open({ colorScheme });
      await page.click('#choices button:nth-child(3)');
      await say(page, 'Hello!');
      await page.click('text=Equally good');
      await page.waitForSelector('.answer small');
      const least = await page.evaluate(() => {
        const parse = (text) => text.match(/[\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((value) => value / 255)
          .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
          .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
        const ground = (node) => {
          for (let at = node; at; at = at.parentElement) {
            const [r, g, b, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
            if (alpha > 0) return [r, g, b];
          }
          return [255, 255, 255];
        };
        const shown = [...document.querySelectorAll('p, h1, h2, small, button:enabled, textarea, output')].filter((node) => node.textContent || node.tagName === 'TEXTAREA');
        return shown.map((node) => {
          const [one, two] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((left, right) => right - left);
          return [(one + 0.05) / (two + 0.05), node.outerHTML.slice(0, 80)];
        }).sort(([left], [right]) => left - right)[0];
      });
      assert.ok(least[0] >= 4.5, `${colorScheme}: ${least}`);
      await page.context().close();
    }
  },
};

const shoot = async () => {
  mkdirSync(join(here, 'shots'), { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    const page = await open({ colorScheme });
    await page.click('#choices button:nth-child(9)');
    await say(page, process.env.SAY ?? 'I failed my driving test again.');
    await page.click('text=Left is better');
    await page.waitForSelector('.answer.better');
    await page.click('#choices button:nth-child(4)');
    await say(page, process.env.SAY_NEXT ?? 'I panicked at a roundabout.');
    await page.screenshot({ path: join(here, 'shots', `${colorScheme}.png`) });
    await page.context().close();
  }
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  if (process.env.SHOTS === 'only') break;
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
