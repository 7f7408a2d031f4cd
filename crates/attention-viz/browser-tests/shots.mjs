// Pictures of the views for the documentation: node shots.mjs BASE_URL FOLDER A B
//
// A and B are ids of records of the first run.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, ready } from './chromium.mjs';

const [base, folder, a, b] = process.argv.slice(2);
const browser = await launch();
mkdirSync(folder, { recursive: true });
for (const colorScheme of ['light', 'dark']) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme });
  const page = await context.newPage();
  for (const view of ['map', 'spans', 'heads', 'compare', 'turns']) {
    await page.goto(`${base}#id=${a}&view=${view}&b=0/${b}`);
    await page.reload();
    await ready(page);
    await page.screenshot({ path: join(folder, `view-${view}-${colorScheme}.png`) });
  }
  await context.close();
}
await browser.close();
