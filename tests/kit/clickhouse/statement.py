"""What the front must know of a statement: its kind, its format, and the places that differ from a server.

A ClickHouse server parses every statement itself. The engine does so here too; this module only finds words outside of
strings, quoted names and comments, so that the front can choose how to run the statement and where its data goes.

Three things are rewritten, because the engine inside of a process has no client session:

* `FORMAT x` is cut out and handed to the engine as an argument.
* `input('structure')`, the body of the request as a table, becomes `file('path', 'format', 'structure')`.
* `query_id` in `KILL QUERY`, and in what is read from `system.processes`, becomes `log_comment`, which the front sets to the
  id that the client chose: the engine makes up an id of its own for every statement, and it cannot be told another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Strings, quoted names, comments, words, and any other single character.
_TOKENS = re.compile(
    r"""
      (?P<string>'(?:[^'\\]|\\.|'')*')
    | (?P<name>"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
    | (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<space>\s+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

_CLIENT_ID = "Settings['log_comment']"
_PROCESSES = f"(SELECT * REPLACE (if({_CLIENT_ID} = '', query_id, {_CLIENT_ID}) AS query_id) FROM system.processes)"


@dataclass(frozen=True)
class Token:
    """A piece of a statement that is neither space nor comment."""

    kind: str
    text: str
    start: int
    end: int
    depth: int

    def is_word(self, word: str) -> bool:
        """Whether it is this word, which is given in capitals."""
        return self.kind == "word" and self.text.upper() == word


@dataclass(frozen=True)
class Statement:
    """A statement without its format."""

    sql: str
    """What the engine is asked."""
    format: str | None
    """The format that it named."""
    verb: str
    """Its first word, in capitals."""
    data: str | None
    """For an INSERT: what follows the format, which is the beginning of its data."""
    inserts: bool
    """Whether it takes the body of the request as data."""
    selects: bool
    """Whether it is an INSERT whose data passes a SELECT."""


def tokens(sql: str) -> list[Token]:
    """The tokens of a statement; a string that does not end runs to the end, and is the engine's to complain about."""
    found: list[Token] = []
    depth = 0
    for match in _TOKENS.finditer(sql):
        kind = match.lastgroup or "other"
        if kind in ("space", "comment"):
            continue
        text = match.group()
        if text in (")", "]", "}"):
            depth -= 1
        found.append(Token(kind, text, match.start(), match.end(), depth))
        if text in ("(", "[", "{"):
            depth += 1
    return found


def parse(sql: str) -> Statement:
    """Finds out what kind of statement it is."""
    words = tokens(sql)
    verb = next((t.text.upper() for t in words if t.kind == "word"), "")
    if verb == "INSERT" or (verb == "WITH" and any(t.is_word("INSERT") and t.depth == 0 for t in words)):
        return _insert(sql, words, verb)
    if verb == "KILL":
        sql = _replaced(sql, [(t.start, t.end, _CLIENT_ID) for t in words if t.is_word("QUERY_ID")])
        return Statement(_without_end(sql), None, verb, None, inserts=False, selects=False)
    edits = _processes(words)
    place = _format(words)
    name = None
    if place is not None:
        name = words[place + 1].text
        edits.append((words[place].start, words[place + 1].end, ""))
    return Statement(_without_end(_replaced(sql, edits)), name, verb, None, inserts=False, selects=False)


def with_file(sql: str, path: str, data_format: str) -> str:
    """The statement with `input('structure')` read from a file."""
    words = tokens(sql)
    edits = []
    for first, second in zip(words, words[1:]):
        if first.is_word("INPUT") and second.text == "(":
            edits.append((first.start, second.end, f"file('{path}', '{data_format}', "))
    return _replaced(sql, edits)


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(text: str) -> str:
    """A quoted name, of a database or a setting."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _insert(sql: str, words: list[Token], verb: str) -> Statement:
    body = next((t for t in words if t.depth == 0 and (t.is_word("VALUES") or t.is_word("SELECT"))), None)
    selects = body is not None and body.is_word("SELECT")
    if selects and not _has_input(words):
        # The data is in the database already: nothing is read from the client.
        return Statement(_without_end(sql), None, verb, None, inserts=False, selects=True)
    place = _format(words) if selects else _first_format(words)
    if place is not None and (selects or body is None or words[place].start < body.start):
        start, end = words[place].start, words[place + 1].end
        name, rest = words[place + 1].text, sql[end:]
        if words[place + 2 :] and words[place + 2].is_word("SETTINGS"):
            return Statement(f"{sql[:start]} {rest}", name, verb, None, inserts=True, selects=selects)
        # A new line or spaces end the statement; everything after them is data.
        data = re.sub(r"^[ \t]*\r?\n?", "", rest, count=1)
        return Statement(sql[:start], name, verb, data, inserts=True, selects=selects)
    if body is not None and body.is_word("VALUES"):
        return Statement(sql[: body.start], "Values", verb, sql[body.end :], inserts=True, selects=False)
    return Statement(_without_end(sql), None, verb, None, inserts=True, selects=selects)


def _has_input(words: list[Token]) -> bool:
    return any(a.is_word("INPUT") and b.text == "(" for a, b in zip(words, words[1:]))


def _format(words: list[Token]) -> int | None:
    """Where the `FORMAT name` that ends a query begins; before it, `format` may be the name of a column."""
    for index in range(len(words) - 1):
        if _is_format(words, index):
            following = words[index + 2 : index + 3]
            if not following or following[0].text == ";" or following[0].is_word("SETTINGS"):
                return index
    return None


def _first_format(words: list[Token]) -> int | None:
    """Where the `FORMAT name` of a plain INSERT begins; what follows it may look like anything."""
    return next((index for index in range(len(words) - 1) if _is_format(words, index)), None)


def _is_format(words: list[Token], index: int) -> bool:
    return words[index].is_word("FORMAT") and words[index].depth == 0 and words[index + 1].kind == "word"


def _processes(words: list[Token]) -> list[tuple[int, int, str]]:
    triples = zip(words, words[1:], words[2:])
    return [
        (a.start, c.end, _PROCESSES)
        for a, b, c in triples
        if a.is_word("SYSTEM") and b.text == "." and c.is_word("PROCESSES")
    ]


def _replaced(sql: str, edits: list[tuple[int, int, str]]) -> str:
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    return sql


def _without_end(sql: str) -> str:
    return sql.rstrip().rstrip(";").rstrip()
