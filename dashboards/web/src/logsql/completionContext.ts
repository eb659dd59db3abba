// What can be typed at the cursor, read from the tokens before it. Pure; the values themselves are
// fetched elsewhere.

import { unquote } from './conditions';
import { tokenize, type Token } from './tokens';

export type Wanted =
  | { kind: 'filter' } // a field's name, a word, AND / OR / NOT
  | { kind: 'value'; field: string }
  | { kind: 'pipe' }
  | { kind: 'pipe-argument'; pipe: string } // fields, functions
  | { kind: 'stream-field' }
  | { kind: 'stream-value'; field: string }
  | { kind: 'nothing' };

export interface CompletionPlace {
  wanted: Wanted;
  /** Where the text to replace starts. */
  from: number;
  /** What is typed of it. */
  typed: string;
}

export function completionPlace(query: string, cursor: number): CompletionPlace {
  const tokens = tokenize(query.slice(0, cursor));
  const last = tokens.at(-1);
  if (last?.kind === 'comment') return { wanted: { kind: 'nothing' }, from: cursor, typed: '' };
  if (last?.kind === 'stream' && !last.text.endsWith('}')) return streamPlace(last, cursor);

  const open = isTyped(last) ? last : undefined;
  const from = open?.start ?? cursor;
  const typed = open ? unquote(open.text) : '';
  const before = tokens.slice(0, open ? -1 : undefined);
  return { wanted: wantedAfter(before), from, typed };
}

/** A token that the cursor is still in. */
function isTyped(token: Token | undefined): token is Token {
  if (!token) return false;
  if (token.kind === 'string') return !closed(token.text);
  return token.kind === 'word' || token.kind === 'keyword' || token.kind === 'number';
}

function closed(text: string): boolean {
  return text.length > 1 && text.endsWith(text[0] ?? '');
}

function wantedAfter(tokens: readonly Token[]): Wanted {
  const previous = tokens.at(-1);
  if (previous?.kind === 'colon' || previous?.kind === 'operator') {
    const field = tokens.findLast((token) => token.kind === 'field');
    const touching = tokens.slice(-3).some((token) => token === field);
    if (field && touching) return { kind: 'value', field: unquote(field.text) };
  }
  const solid = tokens.filter((token) => token.kind !== 'space');
  if (solid.at(-1)?.kind === 'pipe') return { kind: 'pipe' };
  const pipe = solid.findLastIndex((token) => token.kind === 'pipe');
  if (pipe < 0) return { kind: 'filter' };
  const name = solid[pipe + 1]?.text.toLowerCase() ?? '';
  return name === 'filter' || name === 'where'
    ? { kind: 'filter' }
    : { kind: 'pipe-argument', pipe: name };
}

function streamPlace(stream: Token, cursor: number): CompletionPlace {
  const inside = stream.text.slice(1);
  const value = /([\w.]+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)$/.exec(inside);
  if (value) {
    const typed = value[2] ?? '';
    return {
      wanted: { kind: 'stream-value', field: value[1] ?? '' },
      from: cursor - typed.length,
      typed,
    };
  }
  const name = /(?:^|,)\s*([\w.]*)$/.exec(inside);
  if (!name) return { wanted: { kind: 'nothing' }, from: cursor, typed: '' };
  const typed = name[1] ?? '';
  return { wanted: { kind: 'stream-field' }, from: cursor - typed.length, typed };
}
