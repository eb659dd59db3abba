import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PageUser } from './browser';
import { Rookery } from './rookery';

let rookery: Rookery;
let user: PageUser;

beforeAll(async () => {
  rookery = await Rookery.start();
  user = await PageUser.open(rookery);
  await rookery.write('app.log', [
    line('INFO', 'before the tail 1'),
    line('INFO', 'before the tail 2'),
  ]);
  await rookery.found('"before the tail"', 2);
});

afterAll(async () => {
  try {
    await user.close();
  } finally {
    await rookery.stop();
  }
});

function line(level: string, text: string): string {
  return `${new Date().toISOString()} ${level} ${text}`;
}

describe('the live tail', () => {
  it('begins with what was there, oldest on top, and says that it has caught up', async () => {
    await user.go('#/search?live=1');
    await user.page.getByTestId('end-of-logs').waitFor();
    const texts = await user.rows.allInnerTexts();
    expect(texts).toHaveLength(2);
    expect(texts[0]).toContain('before the tail 1');
    expect(texts[1]).toContain('before the tail 2');
  });

  it('shows each new line once, as it is written', async () => {
    await rookery.write('app.log', [line('ERROR', 'written now 1'), line('INFO', 'written now 2')]);
    await user.rows.filter({ hasText: 'written now 2' }).waitFor();
    await user.page.getByTestId('end-of-logs').waitFor();
    expect(await user.rows.count()).toBe(4);
  });

  it('pauses without losing what comes, and resumes', async () => {
    await user.page.keyboard.press('Space');
    await rookery.write('app.log', [line('INFO', 'while paused')]);
    const resume = user.page.getByRole('button', { name: 'Resume (1 new)' });
    await resume.waitFor();
    expect(await user.rows.filter({ hasText: 'while paused' }).count()).toBe(0);
    await resume.click();
    await user.rows.filter({ hasText: 'while paused' }).waitFor();
    expect(await user.rows.count()).toBe(5);
  });

  it('follows only what matches', async () => {
    await user.go('#/search?live=1&q=ERROR');
    await user.page.getByTestId('end-of-logs').waitFor();
    await rookery.write('app.log', [line('INFO', 'not this'), line('ERROR', 'but this')]);
    await user.rows.filter({ hasText: 'but this' }).waitFor();
    expect(await user.rows.filter({ hasText: 'not this' }).count()).toBe(0);
  });

  it('goes on after the server was killed and started again, each line once', async () => {
    await user.go('#/search?live=1&q=survivor');
    await user.page.getByTestId('tail-empty').getByText('End of logs').waitFor();
    await rookery.write('app.log', [line('INFO', 'survivor 1')]);
    await user.rows.filter({ hasText: 'survivor 1' }).waitFor();
    await rookery.kill();
    await user.page.getByTestId('tail-status').filter({ hasText: 'Connection lost' }).waitFor();
    await rookery.write('app.log', [line('INFO', 'survivor 2')]);
    await rookery.startAgain();
    await user.rows.filter({ hasText: 'survivor 2' }).waitFor();
    await rookery.write('app.log', [line('INFO', 'survivor 3')]);
    await user.rows.filter({ hasText: 'survivor 3' }).waitFor();
    await user.page.getByTestId('end-of-logs').waitFor();
    const texts = await user.rows.allInnerTexts();
    expect(texts.map((text) => /survivor \d/.exec(text)?.[0])).toEqual([
      'survivor 1',
      'survivor 2',
      'survivor 3',
    ]);
  });
});
