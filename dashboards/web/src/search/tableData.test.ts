import { describe, expect, it } from 'vitest';
import { shortNumber, sortRows, tableColumns } from './tableData';

describe('tables', () => {
  const rows = [
    { pod: 'a', n: '10', t: '1' },
    { pod: 'b', n: '9', t: 'x' },
    { pod: 'c', n: 'NaN', t: '2' },
  ];

  it('finds columns and numbers', () => {
    expect(tableColumns(rows).map(({ name, numeric, max }) => [name, numeric, max])).toEqual([
      ['pod', false, 0],
      ['n', true, 10],
      ['t', false, 2],
    ]);
  });

  it('sorts numbers as numbers', () => {
    const columns = tableColumns(rows);
    const names = (descending: boolean) =>
      sortRows(rows, columns, { name: 'n', descending }).map((row) => row.pod);
    expect(names(true)).toEqual(['a', 'b', 'c']);
    expect(names(false)).toEqual(['c', 'b', 'a']);
    expect(sortRows(rows, columns, undefined)).toBe(rows);
  });

  it('shortens decimals', () => {
    expect(['450.05555555', '12', '0.5', '0.00012345', 'NaN'].map(shortNumber)).toEqual([
      '450.056',
      '12',
      '0.5',
      '0.000123',
      'NaN',
    ]);
  });
});
