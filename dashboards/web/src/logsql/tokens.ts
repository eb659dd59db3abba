// LogsQL cut into tokens, tolerant of what is half typed. It serves highlighting, completion and
// the chips: the server alone decides what a query means and whether it is right, so nothing here
// rejects anything. Token kinds are those that look different to a person.

export type TokenKind =
  | 'space'
  | 'word' // a word or unquoted value
  | 'string' // quoted: "…", '…', `…`
  | 'field' // a name before a colon
  | 'colon'
  | 'operator' // = ~ > < >= <= != :~ after the colon, or before a bare value
  | 'keyword' // and or not, and names of pipes and filter functions
  | 'stream' // { … }
  | 'paren' // ( ) [ ]
  | 'pipe' // |
  | 'comma'
  | 'negation' // - or ! before a filter
  | 'number'
  | 'comment';

export interface Token {
  kind: TokenKind;
  /** Offsets in the text, UTF-16 units, `end` exclusive. */
  start: number;
  end: number;
  text: string;
}

export const PIPES: readonly string[] = [
  'block_stats',
  'blocks_count',
  'copy',
  'decolorize',
  'delete',
  'drop',
  'extract',
  'extract_regexp',
  'facets',
  'field_names',
  'field_values',
  'fields',
  'filter',
  'first',
  'format',
  'generate_sequence',
  'hash',
  'head',
  'join',
  'json_array_len',
  'keep',
  'last',
  'len',
  'limit',
  'math',
  'offset',
  'pack_json',
  'pack_logfmt',
  'rename',
  'replace',
  'replace_regexp',
  'running_stats',
  'sample',
  'skip',
  'sort',
  'split',
  'stats',
  'stream_context',
  'top',
  'total_stats',
  'union',
  'uniq',
  'unpack_json',
  'unpack_logfmt',
  'unpack_syslog',
  'unpack_words',
  'unroll',
  'where',
];

export const STATS_FUNCTIONS: readonly string[] = [
  'avg',
  'count',
  'count_empty',
  'count_uniq',
  'count_uniq_hash',
  'histogram',
  'max',
  'median',
  'min',
  'quantile',
  'rate',
  'rate_sum',
  'row_any',
  'row_max',
  'row_min',
  'stddev',
  'sum',
  'sum_len',
  'uniq_values',
  'values',
];

export const FILTER_FUNCTIONS: readonly string[] = [
  'contains_all',
  'contains_any',
  'contains_common_case',
  'day_range',
  'eq_field',
  'equals_common_case',
  'exact',
  'i',
  'in',
  'ipv4_range',
  'le_field',
  'len_range',
  'lt_field',
  'range',
  're',
  'seq',
  'string_range',
  'value_type',
  'week_range',
];

const LOGIC = new Set(['and', 'or', 'not']);
const CLAUSES = new Set(['as', 'by', 'from', 'if', 'asc', 'desc', 'before', 'after', 'at', 'on']);
const PIPE_SET = new Set(PIPES);
const FUNCTION_SET = new Set([...STATS_FUNCTIONS, ...FILTER_FUNCTIONS]);
const WORD = /[^\s"'`(){}[\]|,:=~<>!#]/;
const QUOTES = new Set(['"', "'", '`']);
const NUMBER = /^[+-]?\d+(\.\d+)?([a-zA-Zµ%]{1,3})?$/;

/** The end of the quoted text that starts at `start`; the end of the text when it is not closed. */
function quotedEnd(text: string, start: number): number {
  const quote = text[start];
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === '\\' && quote !== '`') at += 1;
    else if (text[at] === quote) return at + 1;
  }
  return text.length;
}

/** The end of `{…}` with quoted text inside taken whole. */
function streamEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length) {
    const char = text[at] ?? '';
    if (char === '}') return at + 1;
    at = QUOTES.has(char) ? quotedEnd(text, at) : at + 1;
  }
  return text.length;
}

function wordEnd(text: string, start: number): number {
  let at = start;
  while (at < text.length && WORD.test(text[at] ?? '')) at += 1;
  return at;
}

/** True when a `:` follows, so that what stands before it is the name of a field. */
function isFieldName(text: string, end: number): boolean {
  return text[end] === ':';
}

class Tokenizer {
  private readonly tokens: Token[] = [];
  private at = 0;

  constructor(private readonly text: string) {}

  run(): Token[] {
    while (this.at < this.text.length) this.next();
    return this.tokens;
  }

  private add(kind: TokenKind, end: number): void {
    this.tokens.push({ kind, start: this.at, end, text: this.text.slice(this.at, end) });
    this.at = end;
  }

  /** The last token that is neither space nor comment. */
  private previous(): Token | undefined {
    return this.tokens.findLast((token) => token.kind !== 'space' && token.kind !== 'comment');
  }

  private next(): void {
    const char = this.text[this.at] ?? '';
    if (/\s/.test(char)) {
      const blank = /\s+/y;
      blank.lastIndex = this.at;
      this.add('space', this.at + (blank.exec(this.text)?.[0].length ?? 1));
    } else if (char === '#') {
      const newline = this.text.indexOf('\n', this.at);
      this.add('comment', newline < 0 ? this.text.length : newline);
    } else if (QUOTES.has(char)) {
      const end = quotedEnd(this.text, this.at);
      this.add(isFieldName(this.text, end) ? 'field' : 'string', end);
    } else if (char === '{') {
      this.add('stream', streamEnd(this.text, this.at));
    } else if ('()[]}'.includes(char)) {
      this.add('paren', this.at + 1);
    } else if (char === '|') {
      this.add('pipe', this.at + 1);
    } else if (char === ',') {
      this.add('comma', this.at + 1);
    } else if (char === ':') {
      this.add('colon', this.at + 1);
    } else if ('=~<>!'.includes(char)) {
      this.operator(char);
    } else {
      this.word(char);
    }
  }

  private operator(char: string): void {
    const two = this.text.slice(this.at, this.at + 2);
    if (['>=', '<=', '!=', '!~', '=~'].includes(two)) this.add('operator', this.at + 2);
    else this.add(char === '!' ? 'negation' : 'operator', this.at + 1);
  }

  private word(char: string): void {
    const before = this.previous();
    const touches = before?.end === this.at;
    if (char === '-' && !(touches && (before.kind === 'colon' || before.kind === 'operator'))) {
      const following = this.text[this.at + 1] ?? ' ';
      if (!/\s/.test(following) && !this.inPipe()) {
        this.add('negation', this.at + 1);
        return;
      }
    }
    let end = Math.max(wordEnd(this.text, this.at), this.at + 1);
    // After a field's colon a value may hold colons itself: `_time:2026-11-21T01:02:03Z`.
    if (touches && (before.kind === 'colon' || before.kind === 'operator')) {
      while (this.text[end] === ':' && WORD.test(this.text[end + 1] ?? ' ')) {
        end = wordEnd(this.text, end + 1);
      }
      this.add(this.valueKind(this.text.slice(this.at, end), end), end);
      return;
    }
    this.add(this.wordKind(end, before), end);
  }

  private valueKind(value: string, end: number): TokenKind {
    if (this.text[end] === '(' && FUNCTION_SET.has(value)) return 'keyword';
    return NUMBER.test(value) ? 'number' : 'word';
  }

  private inPipe(): boolean {
    return this.tokens.some((token) => token.kind === 'pipe');
  }

  private wordKind(end: number, before: Token | undefined): TokenKind {
    const lower = this.text.slice(this.at, end).toLowerCase();
    if (isFieldName(this.text, end)) return 'field';
    if (LOGIC.has(lower)) return 'keyword';
    if (before?.kind === 'pipe' && PIPE_SET.has(lower)) return 'keyword';
    if (this.text[end] === '(' && FUNCTION_SET.has(lower)) return 'keyword';
    if (this.inPipe() && CLAUSES.has(lower)) return 'keyword';
    return NUMBER.test(lower) ? 'number' : 'word';
  }
}

export function tokenize(text: string): Token[] {
  return new Tokenizer(text).run();
}

/** UTF-16 index of a byte offset of the text's UTF-8 form, as the server gives places. */
export function indexOfByte(text: string, byte: number): number {
  let bytes = 0;
  let index = 0;
  for (const char of text) {
    if (bytes >= byte) return index;
    const code = char.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    index += char.length;
  }
  return text.length;
}
