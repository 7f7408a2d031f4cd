// Headless Chromium for tests and pictures of the page; both end well and say so where it can't be had.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));

const skip = (why) => { console.log(`skipped: ${why}`); process.exit(0); };

// playwright-core is installed beside this file if it is not there.
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

const places = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];

export const launch = async () => {
  const executablePath = places.find((path) => path && existsSync(path));
  if (!executablePath) skip('no Chromium is here (set CHROMIUM to its path)');
  const { chromium } = await playwright();
  return chromium.launch({ executablePath, args: ['--no-sandbox'] });
};

export const ready = (page) => page.waitForFunction(() => window.Attn && Attn.ready);
