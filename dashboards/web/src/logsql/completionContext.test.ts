import { describe, expect, it } from 'vitest';
import { completionPlace } from './completionContext';

function at(text: string): string {
  const cursor = text.indexOf('^');
  const place = completionPlace(text.replace('^', ''), cursor);
  const wanted = place.wanted;
  const detail = 'field' in wanted ? wanted.field : 'pipe' in wanted ? wanted.pipe : '';
  return `${wanted.kind} ${detail} ${place.from} ${place.typed}`;
}

describe('completionPlace', () => {
  it.each([
    ['^', 'filter  0 '],
    ['le^', 'filter  0 le'],
    ['error le^', 'filter  6 le'],
    ['-le^', 'filter  1 le'],
    ['level:^', 'value level 6 '],
    ['level:er^', 'value level 6 er'],
    ['level:="er^', 'value level 7 er'],
    ['level:"a" ^', 'filter  10 '],
    ['x | ^', 'pipe  4 '],
    ['x | st^', 'pipe  4 st'],
    ['x | stats by (na^', 'pipe-argument stats 14 na'],
    ['x | stats co^', 'pipe-argument stats 10 co'],
    ['x | filter le^', 'filter  11 le'],
    ['{na^', 'stream-field  1 na'],
    ['{a="b", na^', 'stream-field  8 na'],
    ['{namespace="pr^', 'stream-value namespace 12 pr'],
    ['# no^', 'nothing  4 '],
  ])('%s', (text, expected) => {
    expect(at(text)).toBe(expected);
  });
});
