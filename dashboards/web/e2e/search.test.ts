import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PageUser } from './browser';
import { shopRecords } from './data';
import { Rookery } from './rookery';

let rookery: Rookery;
let user: PageUser;

beforeAll(async () => {
  rookery = await Rookery.start();
  user = await PageUser.open(rookery);
});

afterAll(async () => {
  try {
    await user.close();
  } finally {
    await rookery.stop();
  }
});

describe('a new installation', () => {
  it('says how to add logs while there are none', async () => {
    await user.go('');
    await user.page.getByTestId('no-logs').waitFor();
    expect(await user.page.getByTestId('no-logs').innerText()).toContain('/insert/jsonline');
  });

  it('finds a line that was written to a watched file', async () => {
    const now = new Date().toISOString();
    await rookery.write('app.log', [`${now} ERROR disk /dev/sda1 is full`]);
    await rookery.found('"disk" "is full"', 1);
    await user.search('"is full"');
    await user.sees(/^1 records/);
    expect(await user.rows.first().innerText()).toContain('disk /dev/sda1 is full');
    expect(await user.rows.first().locator('mark').innerText()).toBe('is full');
  });
});

describe('a search', () => {
  beforeAll(async () => {
    await rookery.push(shopRecords(), '{pod=~"web-1|pay-1"}', 60);
  });

  it('shows the newest first, and the counts by level', async () => {
    await user.search('pod:*');
    await user.sees(/^60 records/);
    expect(await user.rows.first().innerText()).toContain('connection refused by bank, charge 9');
    const counts = await user.page.locator('section[aria-label="Records over time"] p').innerText();
    expect(counts).toContain('60 records: 10 error, 10 warn, 40 info');
  });

  it('keeps conditions on content apart from those on fields, and removes each', async () => {
    await user.search('refused level:error');
    await user.sees(/^10 records/);
    const content = user.page.getByRole('group', { name: 'Content' });
    const fields = user.page.getByRole('group', { name: 'Fields' });
    expect(await content.innerText()).toContain('refused');
    expect(await fields.innerText()).toContain('level');
    await content.getByRole('button', { name: 'Remove refused' }).click();
    await user.addressed('q', 'level:error');
    await fields.getByRole('button', { name: /^Exclude level:error/ }).click();
    await user.addressed('q', '-level:error');
  });

  it('adds and excludes a value of a field by a click, and the back button undoes it', async () => {
    await user.search('pod:*');
    await user.sees(/^60 records/);
    await user.page.getByRole('button', { name: /^Only level warn/ }).click();
    await user.sees(/^10 records/);
    await user.addressed('q', 'pod:* level:="warn"');
    await user.page.goBack();
    await user.sees(/^60 records/);
    await user.page.getByRole('button', { name: 'Exclude level info' }).click({ force: true });
    await user.sees(/^20 records/);
  });

  it('shows the top values of any field', async () => {
    await user.search('pod:*');
    await user.page.getByRole('button', { name: 'status', exact: true }).click();
    const values = user.page.getByRole('list', { name: 'Top values of status' });
    await values.getByText('429').waitFor();
    expect((await values.innerText()).replace(/\s+/g, ' ')).toMatch(
      /^200 40 (429 10 503|503 10 429) 10$/,
    );
  });

  it('puts an error under its place in the query', async () => {
    await user.search('pod:*');
    await user.type('level:error (a OR');
    await user.page.getByTestId('query-error').waitFor();
    expect((await user.page.getByTestId('query-error').innerText()).length).toBeGreaterThan(5);
    await user.page.locator('.cm-lintRange-error').first().waitFor();
    await user.type('pod:*');
    await user.sees(/^60 records/);
    expect(await user.page.locator('.cm-lintRange-error').count()).toBe(0);
  });

  it('completes names of fields and their values', async () => {
    await user.search('');
    await user.sees(/records/);
    await user.page.keyboard.press('/');
    await user.page.keyboard.type('namesp');
    await user.page
      .locator('.cm-tooltip-autocomplete')
      .getByText('namespace', { exact: true })
      .waitFor();
    await user.page.keyboard.press('Tab');
    await user.page.locator('.cm-tooltip-autocomplete').getByText('billing').waitFor();
    await user.page.keyboard.type('bil');
    await user.page.keyboard.press('Tab');
    await user.page.keyboard.press('Enter');
    await user.addressed('q', 'namespace:billing');
    await user.sees(/^20 records/);
  });

  it('zooms where the histogram is dragged over, and keeps the filters', async () => {
    await user.search('pod:*');
    await user.sees(/^60 records/);
    const box = await user.page.locator('.u-over').boundingBox();
    if (!box) throw new Error('no histogram');
    await user.page.mouse.move(box.x + box.width * 0.86, box.y + 30);
    await user.page.mouse.down();
    await user.page.mouse.move(box.x + box.width - 2, box.y + 30, { steps: 8 });
    await user.page.mouse.up();
    await user.addressed('from', /^\d{4}-/);
    expect(user.address.get('q')).toBe('pod:*');
    await user.sees(/^20 records/);
    await user.page.goBack();
    await user.sees(/^60 records/);
  });

  it('changes the time range without touching the filters', async () => {
    await user.search('level:info');
    await user.sees(/^40 records/);
    await user.page.keyboard.press('t');
    await user.page.getByRole('button', { name: 'Last 5 minutes' }).click();
    await user.page.getByTestId('empty').waitFor();
    await user.addressed('from', 'now-5m');
    expect(user.address.get('q')).toBe('level:info');
    await user.page.getByTestId('time-range').click();
    await user.page.getByLabel('From', { exact: true }).fill('2h30m');
    await user.page.getByRole('button', { name: 'Apply' }).click();
    await user.page.getByRole('alert').waitFor();
    await user.page.getByLabel('From', { exact: true }).fill('now-150m');
    await user.page.getByRole('button', { name: 'Apply' }).click();
    await user.sees(/^40 records/);
  });

  it('opens a record with all its fields, and a link to it opens it again', async () => {
    await user.search('"charge 3" level:error');
    await user.sees(/^1 records/);
    await user.rows.first().click();
    const panel = user.page.getByTestId('record');
    await panel.waitFor();
    for (const text of [
      'connection refused by bank, charge 3',
      'trace-3',
      '503',
      'billing',
      'pay-1',
    ])
      expect(await panel.innerText()).toContain(text);
    await panel.getByRole('button', { name: 'Copy as JSON' }).click();
    const copied = await user.page.evaluate(() => navigator.clipboard.readText());
    expect((JSON.parse(copied) as Record<string, string>)['trace_id']).toBe('trace-3');
    const link = user.page.url();
    await user.page.goto('about:blank');
    await user.page.goto(link);
    await panel.getByText('trace-3').waitFor();
    // Also when the record is not among the results.
    await user.page.goto('about:blank');
    await user.page.goto(link.replace(/q=[^&]*/, 'q=level%3Ainfo'));
    await panel.getByText('trace-3').waitFor();
    await user.page.keyboard.press('Escape');
    await panel.waitFor({ state: 'detached' });
  });

  it('shows the lines around a record in the order written', async () => {
    await user.search('"charge 5" level:error');
    await user.sees(/^1 records/);
    await user.page.keyboard.press('j');
    await user.page.keyboard.press('c');
    const context = user.page.getByRole('list', { name: 'Lines around the record' });
    await context.waitFor();
    const lines = await context.getByRole('listitem').allInnerTexts();
    const at = lines.findIndex((line) => line.includes('refused by bank, charge 5'));
    expect(at).toBeGreaterThan(0);
    expect(lines[at - 1]).toContain('retrying charge 5');
    expect(lines[at + 1]).toContain('retrying charge 6');
    expect(await context.locator('[aria-current=true]').innerText()).toContain('charge 5');
  });

  it('offers what was searched for before', async () => {
    await user.search('');
    await user.type('level:warn retrying');
    await user.sees(/^10 records/);
    await user.search('');
    await user.sees(/records/);
    await user.page.keyboard.press('/');
    await user.page.keyboard.press('ArrowDown');
    await user.page.locator('.cm-tooltip-autocomplete').getByText('level:warn retrying').waitFor();
    await user.page.keyboard.press('Tab');
    await user.page.keyboard.press('Enter');
    await user.sees(/^10 records/);
  });

  it('searches for a piece of a message that was selected', async () => {
    await user.search('pod:pay-1');
    await user.sees(/^20 records/);
    const message = user.rows
      .filter({ hasText: 'refused by bank, charge 2' })
      .locator('[data-message]');
    await message.evaluate((element) => {
      const text = element.firstChild;
      if (!text) throw new Error('no text');
      window.getSelection()?.setBaseAndExtent(text, 0, text, 'connection refused'.length);
    });
    await message.dispatchEvent('mouseup');
    await user.page.getByRole('button', { name: 'Does not' }).click();
    await user.addressed('q', 'pod:pay-1 -"connection refused"');
    await user.sees(/^10 records/);
  });

  it('shows statistics as a table that can be sorted', async () => {
    await user.search('pod:* | stats by (level) count() n | sort by (level)');
    const table = user.page.getByTestId('table');
    await table.waitFor();
    const column = async () => {
      const rows = await table.getByRole('row').allInnerTexts();
      return rows.slice(1).map((row) => /error|warn|info/.exec(row)?.[0]);
    };
    expect(await column()).toEqual(['error', 'info', 'warn']);
    await table.getByRole('columnheader', { name: 'n' }).getByRole('button').click();
    expect((await column())[0]).toBe('info');
  });

  it('goes by the keyboard', async () => {
    await user.search('pod:*');
    await user.sees(/^60 records/);
    const { keyboard } = user.page;
    await keyboard.press('j');
    await keyboard.press('j');
    await keyboard.press('k');
    expect(
      await user.page.locator('[role=option][aria-selected=true]').getAttribute('data-index'),
    ).toBe('0');
    await keyboard.press('o');
    await user.page.getByTestId('record').waitFor();
    await keyboard.press('j');
    await user.page.locator('[role=option][aria-selected=true][data-index="1"]').waitFor();
    await keyboard.press('Escape');
    await keyboard.press('/');
    expect(await user.page.evaluate(() => document.activeElement?.className)).toContain(
      'cm-content',
    );
    await keyboard.press('Escape');
    await keyboard.press('Shift+?');
    await user.page.getByRole('dialog').waitFor();
    await keyboard.press('Escape');
    await user.page.getByRole('dialog').waitFor({ state: 'detached' });
  });

  it('shows a field as a column, times in UTC, and dark colours', async () => {
    await user.search('"order 0 accepted"', { tz: 'utc', col: 'status' });
    await user.sees(/^1 records/);
    expect(await user.rows.first().innerText()).toContain('200');
    const time = await user.rows.first().locator('span').nth(1).innerText();
    await user.page.getByRole('button', { name: /^Times in UTC/ }).click();
    await user.addressed('tz', null);
    expect(await user.rows.first().locator('span').nth(1).innerText()).not.toBe(time);
    await user.page.getByRole('button', { name: 'Dark colours' }).click();
    await user.page.locator('html[data-mantine-color-scheme=dark]').waitFor();
    await user.page.getByRole('button', { name: 'Light colours' }).click();
  });

  it('saves what it found', async () => {
    await user.search('level:error');
    await user.sees(/^10 records|^11 records/);
    const save = async (item: 'JSON lines' | 'CSV', which: 0 | 1) => {
      await user.page.getByRole('button', { name: 'Download' }).click();
      const download = user.page.waitForEvent('download');
      await user.page.getByRole('menuitem', { name: item }).nth(which).click();
      return readFile(await (await download).path(), 'utf8');
    };
    for (const which of [0, 1] as const) {
      const lines = (await save('JSON lines', which)).trim().split('\n');
      expect(lines.filter((line) => line.includes('"trace_id":"trace-'))).toHaveLength(10);
      const csv = await save('CSV', which);
      expect(csv.split('\r\n')[0]).toMatch(/^_time,level,_msg,.*trace_id/);
      expect(csv).toContain('"connection refused by bank, charge 3"');
    }
  });

  it('can be cancelled while the server works', async () => {
    await user.search('pod:*');
    await user.sees(/^60 records/);
    await user.page.route('**/select/logsql/query', () => undefined);
    await user.type('level:info');
    await user.page.getByRole('progressbar').waitFor();
    await user.page.getByRole('button', { name: 'Cancel' }).click();
    await user.sees(/cancelled/);
    await user.page.unroute('**/select/logsql/query');
    await user.page.getByRole('button', { name: 'Search', exact: true }).click();
    await user.sees(/^40 records/);
  });
});
