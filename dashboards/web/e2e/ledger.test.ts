import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PageUser } from './browser';
import { Rookery } from './rookery';

const LINES = 25;

let rookery: Rookery;
let user: PageUser;

beforeAll(async () => {
  rookery = await Rookery.start();
  user = await PageUser.open(rookery);
  const now = new Date().toISOString();
  const lines = Array.from({ length: LINES }, (_, n) => `${now} INFO line ${n} of the ledger`);
  await rookery.write('counted.log', lines);
  await rookery.found('"of the ledger"', LINES);
});

afterAll(async () => {
  try {
    await user.close();
  } finally {
    await rookery.stop();
  }
});

describe('the ledger', () => {
  it('says that nothing is lost, and accounts for every line', async () => {
    await user.go('#/ledger');
    const verdict = user.page.getByTestId('verdict');
    await verdict.getByText('Nothing is lost').waitFor();
    const row = user.page
      .getByTestId('streams')
      .getByRole('row')
      .filter({ hasText: 'counted.log' });
    await row.waitFor();
    const cells = (await row.getByRole('cell').allInnerTexts()).slice(2);
    expect(cells).toEqual(['25', '25', '0', '0', '0', 'balanced', '0']);
  });

  it('shows where a stream stands', async () => {
    await user.page.getByRole('button', { name: /^Details of .*counted/ }).click();
    await user.page.getByText('Nothing was shed or lost.').waitFor();
  });

  it("leads to the stream's lines", async () => {
    await user.page.getByRole('link', { name: /counted/ }).click();
    await user.sees(new RegExp(`^${LINES} records`));
    await user.page.goBack();
    await user.page.getByTestId('verdict').waitFor();
  });

  it('is also found at /ledger', async () => {
    await user.go('ledger');
    await user.page.getByTestId('verdict').waitFor();
  });
});
