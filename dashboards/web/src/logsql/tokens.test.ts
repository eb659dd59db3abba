import { describe, expect, it } from 'vitest';
import { indexOfByte, tokenize } from './tokens';

function kinds(text: string): string {
  return tokenize(text)
    .filter((token) => token.kind !== 'space')
    .map((token) => `${token.kind}:${token.text}`)
    .join(' ');
}

describe('tokenize', () => {
  it.each([
    ['error', 'word:error'],
    ['level:error', 'field:level colon:: word:error'],
    ['level:="a b"', 'field:level colon:: operator:= string:"a b"'],
    ['-path:/health*', 'negation:- field:path colon:: word:/health*'],
    ['status:>=500', 'field:status colon:: operator:>= number:500'],
    ['a OR not b', 'word:a keyword:OR keyword:not word:b'],
    ['{namespace="a}b"} x', 'stream:{namespace="a}b"} word:x'],
    ['"a|b" | limit 5', 'string:"a|b" pipe:| keyword:limit number:5'],
    ['_time:2026-11-21T01:02:03Z x', 'field:_time colon:: word:2026-11-21T01:02:03Z word:x'],
    ['t:-5', 'field:t colon:: number:-5'],
    [
      'x | stats by (a) count() n',
      'word:x pipe:| keyword:stats keyword:by paren:( word:a paren:) keyword:count paren:( paren:) word:n',
    ],
    ['"k v":x', 'field:"k v" colon:: word:x'],
    ['~"re.*"', 'operator:~ string:"re.*"'],
    ['"open', 'string:"open'],
    ['# all\nx', 'comment:# all word:x'],
  ])('%s', (text, expected) => {
    expect(kinds(text)).toBe(expected);
  });

  it('covers every character of any text, in order', () => {
    const texts = ['a:b:c -- !x (()', '{', '|||', 'é:"ü\\"', ':', '=~<>!', '`a`:b', ']', 'a\n\t#'];
    for (const text of texts) {
      const tokens = tokenize(text);
      expect(tokens.map((token) => token.text).join('')).toBe(text);
      expect(tokens.every((token) => token.end > token.start)).toBe(true);
    }
  });
});

describe('indexOfByte', () => {
  it('counts bytes of UTF-8 and answers in UTF-16 units', () => {
    expect(indexOfByte('abc', 2)).toBe(2);
    expect(indexOfByte('éa', 2)).toBe(1);
    expect(indexOfByte('€a', 3)).toBe(1);
    expect(indexOfByte('😀a', 4)).toBe(2);
    expect(indexOfByte('ab', 99)).toBe(2);
  });
});
