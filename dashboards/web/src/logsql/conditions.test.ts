import { describe, expect, it } from 'vitest';
import {
  addCondition,
  highlightPattern,
  keepsRecords,
  negateCondition,
  parseQuery,
  quoteField,
  removeCondition,
  unquote,
  withFieldValue,
} from './conditions';

function shape(query: string): string[] {
  return parseQuery(query).conditions.map(
    (c) => `${c.negated ? '-' : ''}${c.kind}:${c.field ?? ''}:${c.value ?? ''}:${c.text}`,
  );
}

describe('parseQuery', () => {
  it.each([
    ['', []],
    ['*', []],
    ['error "connection refused"', ['content:::error', 'content:::"connection refused"']],
    ['level:error -path:/health*', ['field:level:error:level:error', '-field:path::path:/health*']],
    ['a AND NOT b', ['content:::a', '-content:::b']],
    ['{pod="a"} x', ['stream:::{pod="a"}', 'content:::x']],
    ['-{pod="a"}', ['-stream:::{pod="a"}']],
    ['a OR b', ['other:::a OR b']],
    ['(a OR b) c', ['other:::(a OR b)', 'content:::c']],
    ['!(a b)', ['-other:::(a b)']],
    ['status:>=500', ['field:status::status:>=500']],
    ['status:range(1, 5] x', ['field:status::status:range(1, 5]', 'content:::x']],
    ['level:in(a, b) x', ['field:level::level:in(a, b)', 'content:::x']],
    ['level:(a or b) x', ['field:level::level:(a or b)', 'content:::x']],
    ['level:="a\\"b"', ['field:level:a"b:level:="a\\"b"']],
    ['level:""', ['field:level::level:""']],
    ['a:~"x.*"', ['field:a::a:~"x.*"']],
    ['_msg:foo', ['content:_msg:foo:_msg:foo']],
    ['seq("a", "b")', ['content:::seq("a", "b")']],
    ['error | stats count() n', ['content:::error']],
    ['user:in(x | fields y) z', ['field:user::user:in(x | fields y)', 'content:::z']],
  ])('%s', (query, expected) => {
    expect(shape(query)).toEqual(expected);
  });

  it('keeps the pipes apart', () => {
    const parsed = parseQuery(' a:in(b | fields c) | stats by (x) count() n | SORT by (n)');
    expect(parsed.filter).toBe('a:in(b | fields c)');
    expect(parsed.pipes).toBe('| stats by (x) count() n | SORT by (n)');
    expect(parsed.pipeNames).toEqual(['stats', 'sort']);
  });
});

describe('editing', () => {
  function first(query: string, index = 0): string {
    const condition = parseQuery(query).conditions[index];
    if (!condition) throw new Error('no condition');
    return removeCondition(query, condition);
  }

  it('removes a condition with its AND', () => {
    expect(first('a b')).toBe('b');
    expect(first('a and b')).toBe('b');
    expect(first('a AND b', 1)).toBe('a');
    expect(first('a -b c', 1)).toBe('a c');
    expect(first('a | stats count()')).toBe('* | stats count()');
  });

  it('turns a condition into its opposite and back', () => {
    const there = parseQuery('a NOT level:x').conditions[1];
    if (!there) throw new Error('no condition');
    const once = negateCondition('a NOT level:x', there);
    expect(once).toBe('a level:x');
    const back = parseQuery(once).conditions[1];
    if (!back) throw new Error('no condition');
    expect(negateCondition(once, back)).toBe('a -level:x');
  });

  it('adds before the pipes and around an OR', () => {
    expect(addCondition('', 'x')).toBe('x');
    expect(addCondition('*', 'x')).toBe('x');
    expect(addCondition('a | limit 5', 'x')).toBe('a x | limit 5');
    expect(addCondition('a OR b', 'x')).toBe('(a OR b) x');
    expect(addCondition('(a OR b)', 'x')).toBe('(a OR b) x');
  });

  it('adds a value once, and replaces its opposite', () => {
    const added = withFieldValue('err', 'level', 'a "b"', false);
    expect(added).toBe('err level:="a \\"b\\""');
    expect(withFieldValue(added, 'level', 'a "b"', false)).toBe(added);
    expect(withFieldValue(added, 'level', 'a "b"', true)).toBe('err -level:="a \\"b\\""');
    expect(withFieldValue('', 'k v', '', true)).toBe('-"k v":""');
    expect(withFieldValue('level:error', 'level', 'error', true)).toBe('-level:error');
  });

  it('quotes what could be read as syntax', () => {
    expect(quoteField('kubernetes.pod')).toBe('kubernetes.pod');
    expect(quoteField('a b')).toBe('"a b"');
    expect(quoteField('a-b')).toBe('"a-b"');
    expect(unquote('"a\\n\\u0041\\\\"')).toBe('a\nA\\');
    expect(unquote('`a\\n`')).toBe('a\\n');
  });
});

describe('highlightPattern', () => {
  function marks(query: string, text: string): string[] {
    const pattern = highlightPattern(query);
    return pattern ? [...text.matchAll(pattern)].map((match) => match[0]) : [];
  }

  it('marks words, phrases, prefixes and regular expressions', () => {
    expect(marks('error "a.b"', 'Error a.b axb')).toEqual(['Error', 'a.b']);
    expect(marks('err*', 'errors')).toEqual(['err']);
    expect(marks('pay', 'pay payment prepay')).toEqual(['pay']);
    expect(marks('"/api"', '/v1/api /api/x')).toEqual(['/api', '/api']);
    expect(marks('~"a.b"', 'axb')).toEqual(['axb']);
    expect(marks('_msg:~"a+"', 'caab')).toEqual(['aa']);
    expect(marks('i("WARN")', 'warn')).toEqual(['warn']);
  });

  it('marks nothing for exclusions, fields and broken expressions', () => {
    expect(highlightPattern('-error level:x *')).toBeUndefined();
    expect(highlightPattern('~"("')).toBeUndefined();
  });

  it('marks no regular expression that could keep the browser busy', () => {
    for (const source of ['(a+)+b', '(a|a)*b', '.*.*.*x', '[^x]*.+y'])
      expect(highlightPattern(`~${JSON.stringify(source)}`)).toBeUndefined();
    expect(marks('~"took [0-9]+ms in .*db"', 'took 15ms in a db')).toHaveLength(1);
  });
});

describe('keepsRecords', () => {
  it('tells records from tables', () => {
    expect(keepsRecords(['sort', 'limit'])).toBe(true);
    expect(keepsRecords(['unpack_json', 'filter'])).toBe(true);
    expect(keepsRecords(['stats', 'sort'])).toBe(false);
    expect(keepsRecords(['uniq'])).toBe(false);
  });
});
