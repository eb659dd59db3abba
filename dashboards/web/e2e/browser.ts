// Chromium on the page, with what every test wants to be true checked at the end: no error was
// logged, and no request left the origin.

import {
  chromium,
  type Browser,
  type BrowserContext,
  type Locator,
  type Page,
} from 'playwright-core';
import { expect } from 'vitest';
import type { Rookery } from './rookery';

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking'];
const WAIT_MS = 15_000;

export class PageUser {
  readonly problems: string[] = [];
  private readonly foreign: string[] = [];

  private constructor(
    readonly browser: Browser,
    readonly context: BrowserContext,
    readonly page: Page,
    readonly rookery: Rookery,
  ) {}

  static async open(rookery: Rookery): Promise<PageUser> {
    const browser = await chromium.launch({
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: FLAGS,
    });
    const context = await browser.newContext({
      viewport: { width: 1440, height: 900 },
      timezoneId: 'Europe/Berlin',
      colorScheme: 'light',
      acceptDownloads: true,
      permissions: ['clipboard-read', 'clipboard-write'],
    });
    const page = await context.newPage();
    page.setDefaultTimeout(WAIT_MS);
    const user = new PageUser(browser, context, page, rookery);
    page.on('pageerror', (error) => user.problems.push(String(error)));
    page.on('console', (message) => {
      // Chromium itself logs every answer that is an error; the tests of errors expect those.
      const isStatus = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !isStatus) user.problems.push(message.text());
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(rookery.url) && !/^(blob|data):/.test(url)) user.foreign.push(url);
    });
    return user;
  }

  async close(): Promise<void> {
    await this.browser.close();
    expect(this.problems).toEqual([]);
    expect(this.foreign).toEqual([]);
  }

  /** Opens an address of the page afresh. */
  async go(address: string): Promise<void> {
    await this.page.goto('about:blank');
    await this.page.goto(`${this.rookery.url}/${address}`);
  }

  /** Opens a search as a link would. */
  async search(query: string, more: Record<string, string> = {}): Promise<void> {
    const params = new URLSearchParams({ q: query, from: 'now-3h', to: 'now', ...more });
    await this.go(`#/search?${params.toString()}`);
  }

  /** Writes a query into the editor, in place of what is there, and runs it. */
  async type(query: string): Promise<void> {
    const editor = this.page.locator('[data-testid=query] .cm-content');
    await editor.click();
    await this.page.keyboard.press('Control+a');
    await this.page.keyboard.press('Delete');
    await this.page.keyboard.insertText(query);
    await this.page.keyboard.press('Enter');
  }

  get rows(): Locator {
    return this.page.locator('[data-testid=records] [role=option]');
  }

  get summary(): Locator {
    return this.page.getByTestId('summary');
  }

  /** Waits until the text above the results matches. */
  async sees(summary: RegExp): Promise<void> {
    await this.summary.filter({ hasText: summary }).waitFor();
  }

  get address(): URLSearchParams {
    return new URLSearchParams(new URL(this.page.url()).hash.replace(/^[^?]*\??/, ''));
  }

  /** Waits until the address holds, or no longer holds, a parameter's value. */
  async addressed(name: string, expected: string | RegExp | null): Promise<void> {
    await expect
      .poll(() => this.address.get(name), { timeout: WAIT_MS })
      .toEqual(expected instanceof RegExp ? expect.stringMatching(expected) : expected);
  }
}
