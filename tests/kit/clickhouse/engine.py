"""The engine inside of this process, one connection a request.

`chdb` is ClickHouse without its server: the same parser, planner, storage and formats. A connection is a session of its own
(settings, parameters, current database) and costs a fifth of a millisecond, so every request gets a new one and nothing leaks
from one to the next. Connections run side by side, and the engine works outside of Python's lock.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import chdb

from statement import Statement, quoted, quoted_name, with_file
from wire import ending, joiner

# Where the library's defaults differ from a server's.
_AS_A_SERVER = {"implicit_select": "0"}

_CODE = re.compile(r"Code: (\d+)\.")

# What the engine says when a statement has no rows to stream.
_NOT_STREAMED = "Streaming query is not supported"


class EngineError(Exception):
    """What the engine answered instead of a result; the text is its own: `Code: 47. DB::Exception: …`."""

    def __init__(self, text: str) -> None:
        start = text.find("Code: ")
        self.text = text[start:] if start >= 0 else f"Code: 1001. DB::Exception: {text} (STD_EXCEPTION)"
        found = _CODE.match(self.text)
        self.code = int(found.group(1)) if found else 1001
        super().__init__(self.text)


def error(code: int, text: str, name: str) -> EngineError:
    """An error of the front, in the words of a server."""
    return EngineError(f"Code: {code}. DB::Exception: {text}. ({name})")


class Summary:
    """What a statement read and wrote, as `X-ClickHouse-Summary` says it."""

    def __init__(self) -> None:
        self.read_rows = self.read_bytes = self.written_rows = self.written_bytes = 0
        self.result_rows = self.result_bytes = self.elapsed_ns = 0

    def json(self) -> str:
        """All numbers as strings, as a server writes them."""
        return "{" + ",".join(f'"{name}":"{value}"' for name, value in vars(self).items()) + "}"


class Engine:
    """The engine on one folder; no other process may have it open."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "engine"
        self.incoming = folder / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)
        for left_over in self.incoming.iterdir():
            left_over.unlink()
        self._running: set[str] = set()
        self._lock = threading.Lock()
        # As long as one connection is open, the others share its engine.
        self._first = chdb.connect(str(self.folder))
        self.version = self._text("SELECT version()")
        self.time_zone = self._text("SELECT timezone()")

    def _text(self, sql: str) -> str:
        text: bytes = self._first.query(sql, "TabSeparatedRaw").bytes()
        return text.decode().strip()

    def close(self) -> None:
        """Closes the last connection, and the engine with it."""
        self._first.close()

    def begin(self, query_id: str) -> None:
        """Notes that a statement runs; two with one id are refused, as a server does."""
        with self._lock:
            if query_id in self._running:
                text = f"Query with id = {query_id} is already running"
                raise error(216, text, "QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING")
            self._running.add(query_id)

    def end(self, query_id: str) -> None:
        """Notes that it does not run any more."""
        with self._lock:
            self._running.discard(query_id)

    def kill(self, query_id: str) -> None:
        """Stops a statement that runs; returns when it has stopped."""
        connection = chdb.connect(str(self.folder))
        try:
            connection.query(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(query_id)} SYNC")
        finally:
            connection.close()

    def session(self, database: str | None, settings: dict[str, str], query_id: str) -> Session:
        """A session of its own, with these settings and parameters (`param_…`)."""
        return Session(self, database, settings, query_id)


class Session:
    """The connection of one request."""

    def __init__(self, engine: Engine, database: str | None, settings: dict[str, str], query_id: str) -> None:
        self._engine = engine
        self._connection = chdb.connect(str(engine.folder))
        self.summary = Summary()
        try:
            if database:
                self._run(f"USE {quoted_name(database)}", "Null")
            for name in settings:
                if not name.isidentifier():
                    raise error(115, f"Unknown setting '{name}'", "UNKNOWN_SETTING")
            every = {**_AS_A_SERVER, **settings, "log_comment": query_id}
            words = ", ".join(f"{name} = {quoted(value)}" for name, value in every.items())
            self._run(f"SET {words}", "Null")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Ends the session."""
        self._connection.close()

    def insert(self, statement: Statement, data_format: str, data: Iterator[bytes]) -> None:
        """Runs an INSERT with what the client sends; returns when it is committed."""
        if statement.selects:
            self._insert_through_file(statement, data_format, data)
            return
        try:
            inserter = self._connection.send_insert(statement.sql, data_format)
            try:
                for piece in data:
                    inserter.append(piece)
                done = inserter.finish()
            except BaseException:
                # Why it failed is said already.
                with suppress(RuntimeError):
                    inserter.cancel()
                raise
        except RuntimeError as failure:
            raise EngineError(str(failure)) from None
        self.summary.written_rows = self.summary.read_rows = done.rows_written
        self.summary.written_bytes = self.summary.read_bytes = done.bytes_written
        self.summary.elapsed_ns = int(done.elapsed * 1e9)

    def _insert_through_file(self, statement: Statement, data_format: str, data: Iterator[bytes]) -> None:
        """An INSERT … SELECT … FROM input(…): what the client sends lies in a file while it runs."""
        with tempfile.NamedTemporaryFile(dir=self._engine.incoming) as file:
            for piece in data:
                file.write(piece)
            file.flush()
            self._run(with_file(statement.sql, file.name, data_format), "Null")

    def rows(self, statement: Statement, data_format: str) -> Generator[bytes, None, None]:
        """Runs a statement; its result in pieces, which together are one document. To be closed before the session is."""
        join = joiner(data_format)
        if join is None or statement.verb not in ("SELECT", "WITH"):
            yield self._run(statement.sql, data_format)
            return
        try:
            stream = self._connection.send_query(statement.sql, data_format)
        except (chdb.ChdbError, RuntimeError) as failure:
            if _NOT_STREAMED in str(failure):
                yield self._run(statement.sql, data_format)
                return
            raise EngineError(str(failure)) from None
        try:
            yield from self._fetched(stream, join)
        finally:
            stream.cancel()
        yield ending(data_format)

    def _fetched(self, stream: Any, join: Any) -> Iterator[bytes]:
        """The pieces of a stream. `stream.fetch()` would swallow the piece of an empty result, and its columns with it."""
        first = True
        while True:
            try:
                result = self._connection._conn.streaming_fetch_result(stream._result)
            except RuntimeError as failure:
                raise EngineError(str(failure)) from None
            piece = b"" if result is None else result.bytes()
            if not piece:
                return
            self.summary.result_rows += result.rows_read()
            self.summary.result_bytes += len(piece)
            yield join(piece, first)
            first = False

    def _run(self, sql: str, data_format: str) -> bytes:
        try:
            result = self._connection.query(sql, data_format)
        except (chdb.ChdbError, RuntimeError) as failure:
            raise EngineError(str(failure)) from None
        self.summary.read_rows += result.storage_rows_read()
        self.summary.read_bytes += result.storage_bytes_read()
        self.summary.written_rows += result.rows_written()
        self.summary.written_bytes += result.bytes_written()
        self.summary.result_rows += result.rows_read()
        self.summary.elapsed_ns += int(result.elapsed() * 1e9)
        answer: bytes = result.bytes()
        return answer
