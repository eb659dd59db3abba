// A query seen as a list of conditions joined by AND, followed by pipes. The text is the only
// truth: chips are read out of it and edits are made in it, so typing and clicking never disagree.
// What is not a plain list (an OR at the top) stays one condition that cannot be taken apart.

import { tokenize, type Token } from './tokens';

export type ConditionKind =
  | 'content' // about the text of the line: a word, a phrase, a regular expression
  | 'field' // about one field
  | 'stream' // {label="value"}
  | 'other'; // parentheses, OR

export interface Condition {
  kind: ConditionKind;
  negated: boolean;
  /** Where it stands in the query, with its negation. UTF-16 units, `end` exclusive. */
  start: number;
  end: number;
  /** Its text without the negation. */
  text: string;
  field?: string;
  /** Only for `field:value`, `field:"value"` and `field:="value"`: the value, unquoted. */
  value?: string;
}

export interface ParsedQuery {
  conditions: Condition[];
  /** The part before the first pipe at the top, trimmed. */
  filter: string;
  /** The pipes with the leading `|`, or an empty text. */
  pipes: string;
  /** Name of each pipe, lower case. */
  pipeNames: string[];
}

const CONTENT_FIELDS = new Set(['_msg']);

function meaningful(tokens: readonly Token[]): Token[] {
  return tokens.filter((token) => token.kind !== 'space' && token.kind !== 'comment');
}

/** Index of the first pipe outside parentheses, or the length. */
function firstPipe(tokens: readonly Token[]): number {
  let depth = 0;
  for (const [index, token] of tokens.entries()) {
    if (token.kind === 'paren') depth += '(['.includes(token.text) ? 1 : -1;
    else if (token.kind === 'pipe' && depth === 0) return index;
  }
  return tokens.length;
}

/** The end index of one filter that starts at `at`: its value, function call or parentheses. */
function filterEnd(tokens: readonly Token[], at: number): number {
  let index = at;
  while (tokens[index]?.kind === 'negation' || isWord(tokens[index], 'not')) index += 1;
  // A name of a field, its colon, operators and negations that touch it.
  while (
    tokens[index]?.kind === 'field' ||
    tokens[index]?.kind === 'colon' ||
    tokens[index]?.kind === 'operator' ||
    (tokens[index]?.kind === 'negation' && index > at)
  ) {
    index += 1;
  }
  const first = tokens[index];
  if (!first) return index;
  if (first.kind === 'paren') return closing(tokens, index);
  const next = tokens[index + 1];
  if (next?.kind === 'paren' && '(['.includes(next.text) && next.start === first.end) {
    return closing(tokens, index + 1);
  }
  return index + 1;
}

function closing(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let index = open; index < tokens.length; index += 1) {
    const token = tokens[index];
    if (token?.kind !== 'paren') continue;
    // Ranges may mix their brackets, `(1, 5]`, so every opening and closing one counts alike.
    depth += '(['.includes(token.text) ? 1 : -1;
    if (depth <= 0) return index + 1;
  }
  return tokens.length;
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'keyword' && token.text.toLowerCase() === word;
}

export function unquote(text: string): string {
  const quote = text[0];
  if (quote === undefined || !['"', "'", '`'].includes(quote)) return text;
  const inner = text.slice(1, text.length > 1 && text.endsWith(quote) ? -1 : undefined);
  if (quote === '`') return inner;
  return inner.replace(/\\(u[0-9a-fA-F]{4}|.)/gs, (_, escape: string) => {
    const simple: Record<string, string> = { n: '\n', t: '\t', r: '\r' };
    if (escape.length === 5) return String.fromCharCode(parseInt(escape.slice(1), 16));
    return simple[escape] ?? escape;
  });
}

/** A value that is safe in a query: quoted always, so that no value can be read as syntax. */
export function quote(value: string): string {
  return JSON.stringify(value);
}

/** A field's name, quoted only when it has to be. */
export function quoteField(name: string): string {
  return /^[A-Za-z_][\w.]*$/.test(name) ? name : quote(name);
}

function describe(query: string, tokens: readonly Token[]): Condition {
  const first = tokens[0];
  const last = tokens.at(-1);
  const start = first?.start ?? 0;
  const end = last?.end ?? start;
  let body = tokens;
  let negated = false;
  while (body[0] && (body[0].kind === 'negation' || isWord(body[0], 'not'))) {
    negated = !negated;
    body = body.slice(1);
  }
  const text = query.slice(body[0]?.start ?? start, end);
  const base = { negated, start, end, text };
  const head = body[0];
  if (!head) return { ...base, kind: 'other' };
  if (head.kind === 'stream') return { ...base, kind: 'stream' };
  if (head.kind === 'paren') return { ...base, kind: 'other' };
  if (head.kind === 'field') return { ...base, ...fieldCondition(head, body.slice(2)) };
  return { ...base, kind: 'content' };
}

function fieldCondition(
  name: Token,
  rest: readonly Token[],
): Pick<Condition, 'kind' | 'field' | 'value'> {
  const field = unquote(name.text);
  const kind = CONTENT_FIELDS.has(field) ? 'content' : 'field';
  const operator = rest[0]?.kind === 'operator' ? rest[0] : undefined;
  const value = operator ? rest[1] : rest[0];
  const plain =
    value !== undefined &&
    rest.length === (operator ? 2 : 1) &&
    (operator === undefined || operator.text === '=') &&
    ['word', 'string', 'number'].includes(value.kind) &&
    !value.text.endsWith('*');
  return plain ? { kind, field, value: unquote(value.text) } : { kind, field };
}

export function parseQuery(query: string): ParsedQuery {
  const all = tokenize(query);
  const pipeAt = firstPipe(all);
  const pipeStart = all[pipeAt]?.start ?? query.length;
  const tokens = meaningful(all.slice(0, pipeAt));
  const filter = query.slice(0, pipeStart).trim();
  const pipes = query.slice(pipeStart).trim();
  const rest = { filter, pipes, pipeNames: pipeNames(all.slice(pipeAt)) };

  const conditions: Condition[] = [];
  let at = 0;
  while (at < tokens.length) {
    if (isWord(tokens[at], 'and')) {
      at += 1;
      continue;
    }
    if (isWord(tokens[at], 'or')) {
      return { ...rest, conditions: [whole(query, tokens)] };
    }
    const end = Math.max(filterEnd(tokens, at), at + 1);
    const part = tokens.slice(at, end);
    if (!(part.length === 1 && part[0]?.text === '*')) conditions.push(describe(query, part));
    at = end;
  }
  return { ...rest, conditions };
}

function whole(query: string, tokens: readonly Token[]): Condition {
  const start = tokens[0]?.start ?? 0;
  const end = tokens.at(-1)?.end ?? start;
  return { kind: 'other', negated: false, start, end, text: query.slice(start, end) };
}

function pipeNames(tokens: readonly Token[]): string[] {
  const names: string[] = [];
  let depth = 0;
  let expecting = false;
  for (const token of meaningful(tokens)) {
    if (token.kind === 'paren') depth += '(['.includes(token.text) ? 1 : -1;
    else if (token.kind === 'pipe' && depth === 0) expecting = true;
    else if (expecting) {
      names.push(token.text.toLowerCase());
      expecting = false;
    }
  }
  return names;
}

function join(filter: string, pipes: string): string {
  const head = filter === '' && pipes !== '' ? '*' : filter;
  return [head, pipes].filter((part) => part !== '').join(' ');
}

/** The query without this condition. */
export function removeCondition(query: string, condition: Condition): string {
  let before = query.slice(0, condition.start).trimEnd();
  let after = query.slice(condition.end).trimStart();
  if (/(^|\s)and$/i.test(before)) before = before.slice(0, -3).trimEnd();
  else if (before === '' && /^and\s/i.test(after)) after = after.slice(3).trimStart();
  const joined = `${before} ${after}`.trim();
  return joined.startsWith('|') ? `* ${joined}` : joined;
}

/** The query with this condition turned into its opposite. */
export function negateCondition(query: string, condition: Condition): string {
  const turned = condition.negated ? condition.text : `-${condition.text}`;
  return query.slice(0, condition.start) + turned + query.slice(condition.end);
}

/** The query with one more condition, put before the pipes. An OR at the top gets parentheses. */
export function addCondition(query: string, condition: string): string {
  const parsed = parseQuery(query);
  const needsParens =
    parsed.conditions.length === 1 &&
    parsed.conditions[0]?.kind === 'other' &&
    !parsed.filter.startsWith('(');
  const filter = parsed.filter === '*' ? '' : parsed.filter;
  const left = needsParens ? `(${filter})` : filter;
  return join(`${left} ${condition}`.trim(), parsed.pipes);
}

export function fieldEquals(field: string, value: string): string {
  // `field:""` is how LogsQL asks for records without the field.
  return value === '' ? `${quoteField(field)}:""` : `${quoteField(field)}:=${quote(value)}`;
}

/**
 * Adds or excludes `field = value`. The same condition is not added twice, and the opposite one
 * is replaced, so that clicking + then − on a value does what a person means.
 */
export function withFieldValue(
  query: string,
  field: string,
  value: string,
  negated: boolean,
): string {
  const same = parseQuery(query).conditions.find(
    (condition) => condition.field === field && condition.value === value,
  );
  if (same?.negated === negated) return query;
  if (same) return negateCondition(query, same);
  return addCondition(query, `${negated ? '-' : ''}${fieldEquals(field, value)}`);
}

/** Texts to mark in the lines: what the conditions on content look for. */
export function highlightPattern(query: string): RegExp | undefined {
  const sources: string[] = [];
  for (const condition of parseQuery(query).conditions) {
    if (condition.kind !== 'content' || condition.negated) continue;
    const source = contentSource(condition.text);
    if (source !== undefined) sources.push(source);
  }
  if (sources.length === 0) return undefined;
  try {
    return new RegExp(sources.join('|'), 'giu');
  } catch {
    return undefined;
  }
}

function contentSource(text: string): string | undefined {
  const body = text.replace(/^_msg:/, '');
  const isRegexp = /^(~|re\()/.test(body);
  const inner = body
    .replace(/^(~|=|i\(|re\()/, '')
    .replace(/\)$/, '')
    .replace(/\*$/, '')
    .trim();
  const value = unquote(inner);
  if (value === '' || value === '*') return undefined;
  if (isRegexp) {
    try {
      new RegExp(value, 'u');
      if (mayBacktrack(value)) return undefined;
      return `(?:${value})`;
    } catch {
      return undefined;
    }
  }
  if (!/^["'`]/.test(inner) && !/^[^\s()]+$/.test(inner)) return undefined;
  const isPrefix = body.endsWith('*');
  const before = /^[\p{L}\p{N}_]/u.test(value) ? '(?<![\\p{L}\\p{N}_])' : '';
  const after = /[\p{L}\p{N}_]$/u.test(value) && !isPrefix ? '(?![\\p{L}\\p{N}_])' : '';
  return before + value.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&') + after;
}

/**
 * The server's regular expressions take linear time, a browser's may take for ever. Those that could
 * are searched for and not marked: a group that is repeated, or repetitions that can share a text.
 */
function mayBacktrack(source: string): boolean {
  const plain = source.replace(/\\[^SDW]/g, 'x');
  const wide = plain.match(/(\.|\[\^[^\]]*\]|\\[SDW])(\*|\+|\{\d+,\})/g)?.length ?? 0;
  const all = plain.match(/\*|\+|\{\d+,\}/g)?.length ?? 0;
  return /\)(\*|\+|\{)/.test(plain) || wide > 1 || all > 4;
}

const RECORD_PIPES = new Set(
  (
    'sort order limit head offset skip filter where sample first last stream_context copy cp ' +
    'rename mv extract extract_regexp format replace replace_regexp math eval len hash decolorize ' +
    'unpack_json unpack_logfmt unpack_syslog pack_json pack_logfmt'
  ).split(' '),
);

/** True when the pipes leave log records, and not a table of other rows. */
export function keepsRecords(pipeNames: readonly string[]): boolean {
  return pipeNames.every((name) => RECORD_PIPES.has(name));
}
