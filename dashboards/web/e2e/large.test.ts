import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PageUser } from './browser';
import { Rookery, type Json } from './rookery';

const RECORDS = 100_000;
/** A screen of rows and those just outside it. */
const ROWS_IN_PAGE = 120;

let rookery: Rookery;
let user: PageUser;

beforeAll(async () => {
  rookery = await Rookery.start();
  user = await PageUser.open(rookery);
  const start = Date.now() - 3_600_000;
  const records: Json[] = Array.from({ length: RECORDS }, (_, n) => ({
    _time: new Date(start + n * 30).toISOString(),
    _msg: `line number ${n}`,
    level: n % 10 === 0 ? 'warn' : 'info',
    pod: 'many-1',
    namespace: 'load',
    container: 'app',
  }));
  await rookery.push(records, '{pod="many-1"}');
});

afterAll(async () => {
  try {
    await user.close();
  } finally {
    await rookery.stop();
  }
});

describe('a hundred thousand records', () => {
  it('are all there to scroll over, while the page holds a screen of them', async () => {
    await user.search('pod:many-1', { limit: String(RECORDS) });
    await user.sees(/^100,000 records/);
    expect(await user.rows.first().innerText()).toContain('line number 99999');
    const list = user.page.getByTestId('records');
    await list.evaluate((element) => {
      element.scrollTop = element.scrollHeight / 2;
    });
    await user.rows
      .filter({ hasText: /line number (49|50)\d{3}/ })
      .first()
      .waitFor();
    await list.evaluate((element) => {
      element.scrollTop = element.scrollHeight;
    });
    await user.rows.filter({ hasText: /line number 0$/ }).waitFor();
    expect(await user.rows.count()).toBeLessThan(ROWS_IN_PAGE);
  });

  it('come page by page as one scrolls', async () => {
    await user.search('pod:many-1');
    await user.sees(/^1,000 of 100,000 records/);
    await user.page.getByTestId('records').evaluate((element) => {
      element.scrollTop = element.scrollHeight;
    });
    await user.sees(/^2,000 of 100,000 records/);
    await user.rows.filter({ hasText: 'line number 98999' }).waitFor();
  });
});
