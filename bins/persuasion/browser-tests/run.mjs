// The pages of `persuasion report` and `persuasion compare` in headless Chromium: node run.mjs LARGE HOSTILE STUDY COMPARED
//
// Shares the playwright-core of the attention viewer's tests, and installs it there if it is not. Without it, or without a
// Chromium (CHROMIUM, or in one of the usual places), it says that it is skipped and ends well. SHOTS=FOLDER leaves screenshots.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const shared = join(here, '../../../crates/attention-viz/browser-tests');
const [large, hostile, study, compared] = process.argv.slice(2).map((path) => pathToFileURL(resolve(path)).href);
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

// Whatever a page asks for beside itself is a problem, and so is whatever its policy has to forbid.
const open = async (address, options = {}) => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') problems.push(message.text()); });
  page.on('dialog', (dialog) => { problems.push(`a dialog said ${dialog.message()}`); dialog.dismiss(); });
  page.on('request', (request) => { if (request.url() !== address && !request.url().startsWith('data:')) problems.push(`it asked for ${request.url()}`); });
  await page.goto(address);
  return page;
};
const close = (page) => page.context().close();
const rows = (page) => page.$$eval('.samples tbody tr:not(.inside)', (all) => all.map((row) => [...row.cells].map((cell) => cell.textContent)));
const heads = (page) => page.$$eval('.samples thead th', (all) => all.map((head) => head.textContent));
const column = async (page, title) => { const at = (await heads(page)).indexOf(title); return (await rows(page)).map((row) => row[at]); };
const numeric = (texts) => texts.map((text) => Number(text.replace(/[✓✗] /, '')));
const found = (page) => page.textContent('.controls output[role=status]');
const fits = async (page, what) => {
  const [needed, width] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(needed <= width, `${what}: the page is ${needed} wide in a window of ${width}`);
};

const checks = {
  async 'curves have titles, axes and labels, in light, dark and on paper'() {
    for (const [colorScheme, shown, other] of [['light', 'light', 'dark'], ['dark', 'dark', 'light']]) {
      const page = await open(large, { colorScheme });
      const texts = await page.$$eval(`#curves .charts > .chart > .${shown} svg`, (all) => all.map((svg) => [...svg.querySelectorAll('text')].map((text) => text.textContent)));
      assert.ok(texts.length >= 10);
      for (const all of texts) {
        assert.ok(all.includes('optimiser step'), all.join('|'));
        assert.ok(all.filter((text) => /^[-−]?[\d.]+(e-?\d+|×.*)?$/.test(text)).length >= 4, `ticks: ${all.join('|')}`);
      }
      assert.equal(await page.isVisible(`.chart .${other} svg`), false);
      await page.emulateMedia({ media: 'print' });
      assert.deepEqual([await page.isVisible('.chart .light svg'), await page.isVisible('.chart .dark svg')], [true, false]);
      assert.equal(await page.isVisible('.controls'), false);
      await close(page);
    }
  },

  async 'over 10,000 rows are sorted, filtered and searched quickly'() {
    const page = await open(large);
    assert.ok(Number((await found(page)).match(/of (\d+) rows/)[1]) > 10000);
    const margins = numeric(await column(page, 'Margin'));
    assert.equal(margins.length, 25);
    assert.deepEqual(margins, [...margins].sort((one, other) => one - other));
    const timed = async (action) => { const start = Date.now(); await action(); return Date.now() - start; };
    const slowest = Math.max(
      await timed(() => page.selectOption('label:has-text("Set") select', 'all')),
      await timed(() => page.click('.samples th button:text-is("Loss")')),
      await timed(() => page.click('.samples th button:text-is("Prompt")')),
      await timed(() => page.click('.samples th button:text-is("Loss")')),
      await timed(() => page.click('.samples th button:text-is("Loss")')),
    );
    console.log(`  the slowest of these took ${slowest} ms`);
    assert.ok(slowest < 3000);
    const losses = numeric(await column(page, 'Loss'));
    assert.deepEqual(losses, [...losses].sort((one, other) => other - one));
    assert.equal(await page.getAttribute('.samples th:has(button:text-is("Loss"))', 'aria-sort'), 'descending');
    await page.selectOption('label:has-text("Verdict") select', 'wrong');
    assert.ok((await column(page, 'Margin')).every((text) => text.startsWith('✗')));
    const before = await found(page);
    await page.fill('input[type=search]', 'pair-77 nurse');
    await page.waitForFunction((text) => document.querySelector('output[role=status]').textContent !== text, before);
    assert.ok((await column(page, 'Pair')).every((id) => id.includes('pair-77')));
    await page.fill('input[type=search]', 'nosuchword');
    await page.waitForFunction(() => document.querySelector('output[role=status]').textContent.startsWith('0 of'));
    await close(page);
  },

  async 'rows are turned over page by page'() {
    const page = await open(large);
    const first = await column(page, 'Pair');
    assert.equal(await page.isDisabled('button:text-is("First")'), true);
    await page.click('#samples button:text-is("Next")');
    const second = await column(page, 'Pair');
    assert.equal(second.filter((id) => first.includes(id)).length, 0);
    await page.click('#samples button:text-is("Last")');
    assert.equal(await page.isDisabled('#samples button:text-is("Next")'), true);
    await page.click('#samples button:text-is("First")');
    assert.deepEqual(await column(page, 'Pair'), first);
    await page.selectOption('label:has-text("Rows") select', '500');
    assert.equal((await rows(page)).length, 500);
    await close(page);
  },

  async 'a row opens by keyboard and shows its texts, which wrap'() {
    const page = await open(large);
    await page.focus('.samples button.open');
    await page.keyboard.press('Enter');
    const titles = await page.$$eval('.samples .inside h3', (all) => all.map((title) => title.textContent));
    assert.deepEqual(titles, ['Prompt (split validation)', 'Chosen', 'Rejected']);
    const texts = await page.$$eval('.samples .inside p', (all) => all.map((text) => [text.textContent.length, text.scrollWidth - text.clientWidth]));
    assert.ok(texts.every(([length, over]) => length > 200 && over <= 0), JSON.stringify(texts));
    await page.click('.samples .inside summary');
    assert.equal(await page.$$eval('.samples .inside tbody tr', (all) => all.length), 4);
    assert.equal(await page.getAttribute('.samples button.open', 'aria-expanded'), 'true');
    await page.keyboard.press('Shift+Tab');
    await page.focus('.samples button.open');
    await page.keyboard.press('Enter');
    assert.equal(await page.$('.samples .inside'), null);
    await close(page);
  },

  async 'replies stand beside each other, the base model first, with new words marked'() {
    const page = await open(large);
    const titles = () => page.$$eval('#generation-view .texts h3', (all) => all.map((title) => title.textContent));
    const [first, second, ...rest] = await titles();
    assert.equal(first, 'Base model');
    assert.match(second, /^Epoch 1 \(step \d+\)$/);
    assert.deepEqual(rest.slice(-2), ['Chosen, in the data', 'Rejected, in the data']);
    const marks = await page.$$eval('#generation-view mark', (all) => all.map((mark) => mark.textContent.trim()));
    assert.ok(marks.length && marks.every((text) => text === 'will certainly'), marks.join('|'));
    const [left, right] = await page.$$eval('#generation-view .texts .text', (all) => all.map((text) => text.getBoundingClientRect()).map(({ top, left: from }) => [top, from]));
    assert.ok(left[0] === right[0] && left[1] < right[1]);
    const prompt = await page.textContent('#generation-view .prompt p');
    await page.click('#generations button:text-is("Next")');
    assert.notEqual(await page.textContent('#generation-view .prompt p'), prompt);
    await page.selectOption('#generations label:has-text("differ from") select', 'nothing');
    assert.equal(await page.$('#generation-view mark'), null);
    await close(page);
  },

  async 'no text of the data runs'() {
    const page = await open(hostile);
    await page.selectOption('label:has-text("Set") select', 'all');
    await page.selectOption('label:has-text("Rows") select', '100');
    for (const toggle of await page.$$('.samples button.open')) await toggle.click();
    await page.waitForTimeout(300);
    assert.notEqual(await page.title(), 'ran');
    assert.deepEqual(await page.evaluate(() => [document.images.length, document.scripts.length]), [0, 2]);
    assert.ok((await page.textContent('.samples .inside p')).startsWith('</script><img src=x'));
    await fits(page, 'hostile texts');
    // The policy lets nothing else run, even if a text got in.
    const ran = await page.evaluate(() => { document.body.insertAdjacentHTML('beforeend', '<b id="in" onclick="window.ran = 1">x</b>'); document.getElementById('in').click(); return window.ran; });
    assert.equal(ran, undefined);
    problems.length = 0;
    await close(page);
  },

  async 'no page scrolls sideways, on a telephone neither'() {
    for (const address of [large, hostile, study, compared]) {
      for (const width of [1280, 360]) {
        const page = await open(address, { viewport: { width, height: 700 } });
        const toggle = await page.$('.samples button.open');
        if (toggle) await toggle.click();
        for (const details of await page.$$('summary')) if (await details.isVisible()) await details.click();
        await fits(page, `${address} at ${width}`);
        await close(page);
      }
    }
  },

  async 'texts can be read on their ground'() {
    for (const colorScheme of ['light', 'dark']) {
      const page = await open(large, { colorScheme });
      await page.click('.samples button.open');
      const faint = await page.evaluate(() => {
        const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
        const luminance = (colour) => parts(colour).slice(0, 3).map((part) => { const share = part / 255; return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4; })
          .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
        const ground = (node) => { for (let at = node; at; at = at.parentElement) { const colour = getComputedStyle(at).backgroundColor; if ((parts(colour)[3] ?? 1) > 0) return colour; } return 'rgb(255,255,255)'; };
        const found = new Set();
        for (const node of document.querySelectorAll('h1, h2, h3, p, th, td, a, button:enabled, summary, small, mark, label, output')) {
          if (!node.checkVisibility()) continue;
          const [one, other] = [luminance(getComputedStyle(node).color), luminance(ground(node))].sort((left, right) => right - left);
          if ((one + 0.05) / (other + 0.05) < 4.5) found.add(`${node.tagName}.${node.className}: ${getComputedStyle(node).color} on ${ground(node)}`);
        }
        return [...found];
      });
      assert.deepEqual(faint, []);
      await close(page);
    }
  },

  async 'trials are sorted by a click on a head'() {
    const page = await open(study);
    const values = () => page.$$eval('#trials tbody tr', (all) => all.map((row) => row.cells[1].textContent));
    await page.click('#trials th button:text-is("value")');
    const ascending = await values();
    assert.deepEqual(ascending.slice(-2), ['–', '–'], ascending.join(' '));
    const numbers = ascending.slice(0, -2).map(Number);
    assert.deepEqual(numbers, [...numbers].sort((one, other) => one - other));
    await page.click('#trials th button:text-is("value")');
    const descending = await values();
    assert.deepEqual(descending.slice(-2), ['–', '–']);
    assert.equal(Number(descending[0]), numbers[numbers.length - 1]);
    await close(page);
  },

  async 'a comparison shows both runs in every picture'() {
    const page = await open(compared);
    const legends = await page.$$eval('#curves .light svg', (all) => all.map((svg) => svg.querySelector('.legend').textContent));
    assert.ok(legends.length > 12);
    assert.ok(legends.filter((text) => text.includes('beta-0.3') && text.includes('hostile')).length >= 12);
    await close(page);
  },
};

// Screenshots for the eye and for the documentation.
const shoot = async (folder) => {
  mkdirSync(folder, { recursive: true });
  for (const colorScheme of ['light', 'dark']) {
    const page = await open(large, { colorScheme });
    await page.screenshot({ path: join(folder, `top-${colorScheme}.png`) });
    await page.click('.samples button.open');
    for (const part of ['curves', 'evaluation', 'samples', 'generations', 'configuration']) {
      await page.locator(`#${part}`).screenshot({ path: join(folder, `${part}-${colorScheme}.png`) });
    }
    await close(page);
  }
  for (const [name, address] of Object.entries({ hostile, study, compared })) {
    const page = await open(address);
    await page.screenshot({ path: join(folder, `${name}.png`), fullPage: name !== 'hostile' });
    await close(page);
  }
  const telephone = await open(large, { viewport: { width: 390, height: 844 } });
  await telephone.screenshot({ path: join(folder, 'telephone.png') });
  await telephone.locator('#samples').scrollIntoViewIfNeeded();
  await telephone.screenshot({ path: join(folder, 'telephone-samples.png') });
  await close(telephone);
  const paper = await open(large, { colorScheme: 'dark' });
  await paper.pdf({ path: join(folder, 'paper.pdf') });
  await close(paper);
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
if (process.env.SHOTS) await shoot(process.env.SHOTS);
await browser.close();
process.exit(failed ? 1 : 0);
