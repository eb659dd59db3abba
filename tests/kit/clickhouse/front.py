"""ClickHouse's HTTP interface in front of the engine of the Python package `chdb`.

For tests, and for a person who has no server. It is the real engine (parser, planner, MergeTree, formats, errors) on a folder that
survives `kill -9`, behind the HTTP interface as a server speaks it:

* `GET /ping` and `GET /` answer `Ok.`.
* `POST /?query=…&database=…&query_id=…&param_x=…&<setting>=…`: the statement in the URL, or in the body, or in a form
  (`multipart/form-data`, as the `clickhouse` crate sends parameters). The body of an INSERT is streamed into the engine.
* A result is streamed in chunks. An error before the first byte has a status, `X-ClickHouse-Exception-Code` and the engine's
  text; one after it is written into the stream between `__exception__` lines, as a server since 25.11 does, and the connection
  is cut, so that nobody takes a part for the whole.
* A client that goes away: while its result is written, its query is stopped. While nothing is written yet, a query that only
  reads is stopped if `cancel_http_readonly_queries_on_client_close=1`, as on a server. An INSERT whose body did not
  arrive whole is dropped; one whose body did goes on, and takes place.
* `KILL QUERY WHERE query_id = '…'` and `system.processes` know the ids that the clients chose.

What differs from a server: no replication, no distributed tables, no Keeper, no users and roles (one user, when asked for by
`--user`), no sessions (`session_id`), no `compress` and `decompress` (ClickHouse's own block compression; HTTP's
`Content-Encoding` gzip, deflate, zstd and lz4 is understood in requests), no `system.query_log`; `queryID()` is the engine's own.

Usage: front.py --data FOLDER [--listen 127.0.0.1:8123] [--port-file FILE] [--user NAME --password WORD]
"""

from __future__ import annotations

import argparse
import base64
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from itertools import chain
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from engine import Engine, EngineError, Session, error
from statement import Statement, parse
from wire import PIECE_BYTES, BodyError, fields, pieces

# A statement may be this long; data has no limit.
STATEMENT_BYTES = 64 << 20

# Parameters of the interface that are not settings of the engine.
_OWN = {
    "query", "database", "query_id", "default_format", "user", "password", "quota_key", "wait_end_of_query", "buffer_size",
    "enable_http_compression", "http_zlib_compression_level", "stacktrace", "close_session",
}  # fmt: skip

# Parameters that would change the meaning of an answer, and that the front does not know.
_REFUSED = {
    "session_id": "sessions are not kept: name the database and the settings in each request",
    "compress": "ClickHouse's block compression is not spoken here: switch it off in the client",
    "decompress": "ClickHouse's block compression is not spoken here: switch it off in the client",
    "role": "there are no roles",
}

# Statuses by the code of the error, as a server gives them; all others are 500.
_BAD_REQUEST = {6, 25, 26, 27, 33, 38, 41, 43, 44, 53, 62, 69, 72, 117, 223, 457}
_NOT_FOUND = {46, 47, 50, 56, 60, 63, 73, 81, 115}
_OTHER = {48: 501, 159: 408, 164: 403, 209: 503, 241: 500, 381: 411, 439: 503, 516: 403}

# How often is looked whether clients of running queries are still there.
_LOOK_EVERY_S = 0.05


def status_of(code: int) -> int:
    """The HTTP status of an error of the engine."""
    if code in _BAD_REQUEST:
        return 400
    return 404 if code in _NOT_FOUND else _OTHER.get(code, 500)


class Watcher:
    """Stops queries whose client is gone. One thread for all of them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._watched: dict[str, socket.socket] = {}
        threading.Thread(target=self._watch, name="watcher", daemon=True).start()

    def add(self, query_id: str, connection: socket.socket) -> None:
        """Watches from now on."""
        with self._lock:
            self._watched[query_id] = connection

    def remove(self, query_id: str) -> None:
        """Does not watch any more."""
        with self._lock:
            self._watched.pop(query_id, None)

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_EVERY_S)
            with self._lock:
                gone = [name for name, connection in self._watched.items() if _is_gone(connection)]
                for name in gone:
                    del self._watched[name]
            for name in gone:
                self._engine.kill(name)


def _is_gone(connection: socket.socket) -> bool:
    poll = select.poll()
    try:
        poll.register(connection, select.POLLRDHUP)
    except ValueError:
        return True
    return bool(poll.poll(0))


class Front(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One thread a connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, address: tuple[str, int], engine: Engine, login: tuple[str, str] | None) -> None:
        super().__init__(address, Handler)
        self.engine = engine
        self.login = login
        self.watcher = Watcher(engine)

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke is the client's affair; anything else is a bug, and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """The requests of one connection."""

    server: Front
    protocol_version = "HTTP/1.1"
    server_version = "ClickHouse"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged of a request: statements may hold secrets."""

    def do_GET(self) -> None:
        """A statement that only reads, or a question whether it is there."""
        if urlsplit(self.path).path == "/ping" or self.path == "/":
            self._answer(200, b"Ok.\n")
        else:
            self._statement(may_write=False)

    def do_POST(self) -> None:
        """Any statement."""
        self._statement(may_write=True)

    def _statement(self, may_write: bool) -> None:
        self.started = False
        self.query_id = ""
        # A body that was not read to its end would be taken for the next request.
        body = pieces(self.rfile, self.headers)
        try:
            self._run(body, may_write)
            for _ in body:
                pass
        except EngineError as failure:
            self._fail(failure, body)
        except BodyError as failure:
            self.close_connection = True
            self._fail(error(33, str(failure), "CANNOT_READ_ALL_DATA"), iter(()))
        except UnicodeDecodeError:
            self._fail(error(62, "The statement is not UTF-8", "SYNTAX_ERROR"), body)
        self.wfile.flush()

    def _run(self, body: Iterator[bytes], may_write: bool) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        content_type = self.headers.get("Content-Type", "")
        if content_type.lower().startswith("multipart/form-data"):
            asked.update(fields(_limited(body), content_type))
        self._authenticate(asked)
        for name, why in _REFUSED.items():
            if asked.get(name, "0") not in ("", "0"):
                raise error(48, f"{name}: {why}", "NOT_IMPLEMENTED")
        statement, data = _statement_and_data(asked.get("query", ""), body)
        self.query_id = asked.get("query_id") or str(uuid.uuid4())
        settings = {name: value for name, value in asked.items() if name not in (*_OWN, *_REFUSED)}
        if not may_write:
            settings["readonly"] = "2"
        engine = self.server.engine
        database = asked.get("database") or self.headers.get("X-ClickHouse-Database")
        engine.begin(self.query_id)
        try:
            session = engine.session(database, settings, self.query_id)
            try:
                self._execute(session, statement, data, asked)
            finally:
                self.server.watcher.remove(self.query_id)
                session.close()
        finally:
            engine.end(self.query_id)

    def _execute(self, session: Session, statement: Statement, data: Iterator[bytes], asked: dict[str, str]) -> None:
        data_format = statement.format or asked.get("default_format")
        data_format = data_format or self.headers.get("X-ClickHouse-Format") or ""
        if statement.inserts:
            if not data_format:
                raise error(62, "The INSERT names no FORMAT", "SYNTAX_ERROR")
            session.insert(statement, data_format, data)
            self._answer(200, b"", session, data_format)
            return
        data_format = data_format or "TabSeparated"
        if asked.get("cancel_http_readonly_queries_on_client_close", "0") == "1":
            self.server.watcher.add(self.query_id, self.connection)
        # Closed here: a stream that outlives its connection takes the engine down.
        with closing(session.rows(statement, data_format)) as rows:
            if asked.get("wait_end_of_query", "0") == "1":
                self._answer(200, b"".join(rows), session, data_format)
                return
            # The first piece is waited for, so that an error before it has a status.
            first = next(rows, b"")
            self._start(200, session, data_format)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in chain((first,), rows):
                self._chunk(piece)
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n" % len(piece))
            self.wfile.write(piece)
            self.wfile.write(b"\r\n")

    def _start(self, status: int, session: Session | None, data_format: str) -> None:
        self.started = True
        self.send_response(status)
        if self.query_id:
            self.send_header("X-ClickHouse-Query-Id", self.query_id)
        self.send_header("X-ClickHouse-Server-Display-Name", "chdb")
        self.send_header("X-ClickHouse-Timezone", self.server.engine.time_zone)
        self.send_header("Content-Type", _content_type(data_format))
        if session is not None:
            self.tag = uuid.uuid4().hex[:16]
            self.send_header("X-ClickHouse-Exception-Tag", self.tag)
            self.send_header("X-ClickHouse-Format", data_format)
            self.send_header("X-ClickHouse-Summary", session.summary.json())

    def _answer(self, status: int, body: bytes, session: Session | None = None, data_format: str = "") -> None:
        self.query_id = getattr(self, "query_id", "")
        self._start(status, session, data_format)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _fail(self, failure: EngineError, body: Iterator[bytes]) -> None:
        text = f"{failure.text} (version {self.server.engine.version})\n"
        if "(version " in failure.text:
            text = f"{failure.text}\n"
        message = text.encode()
        if self.started:
            marked = b"\r\n__exception__\r\n%b\r\n%b%d %b\r\n__exception__\r\n"
            tag = self.tag.encode()
            self._chunk(marked % (tag, message, len(message), tag))
            self.close_connection = True
            return
        self.started = True
        self.send_response(status_of(failure.code))
        if self.query_id:
            self.send_header("X-ClickHouse-Query-Id", self.query_id)
        self.send_header("X-ClickHouse-Exception-Code", str(failure.code))
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(message)))
        self.end_headers()
        self.wfile.write(message)
        self.wfile.flush()
        try:
            for _ in body:
                pass
        except BodyError:
            self.close_connection = True

    def _authenticate(self, asked: dict[str, str]) -> None:
        if self.server.login is None:
            return
        user = self.headers.get("X-ClickHouse-User") or asked.get("user", "")
        password = self.headers.get("X-ClickHouse-Key") or asked.get("password", "")
        basic = self.headers.get("Authorization", "")
        if basic.startswith("Basic "):
            user, _, password = base64.b64decode(basic[6:]).decode().partition(":")
        if (user, password) != self.server.login:
            text = (
                f"{user or 'default'}: Authentication failed: password is incorrect, or there is no user with such name"
            )
            raise error(516, text, "AUTHENTICATION_FAILED")


def _statement_and_data(query: str, body: Iterator[bytes]) -> tuple[Statement, Iterator[bytes]]:
    """The statement is the URL's query followed by the body; the data of an INSERT begins where its text ends."""
    if query:
        statement = parse(query)
        if statement.inserts:
            return statement, chain((f"{statement.data}".encode(),) if statement.data else (), body)
        rest = _limited(body)
        return (parse(f"{query}\n{rest.decode()}") if rest else statement), iter(())
    head = b""
    for piece in body:
        head += piece
        # An INSERT is recognised by its first pieces, whatever bytes follow it.
        if head.lstrip()[:6].upper() == b"INSERT" and len(head) >= PIECE_BYTES:
            break
        if len(head) > STATEMENT_BYTES:
            raise error(62, f"The statement is longer than {STATEMENT_BYTES} bytes", "SYNTAX_ERROR")
    if not head.strip():
        raise error(62, "Empty query", "SYNTAX_ERROR")
    # Latin-1 keeps every byte at its place, so that data which is not text is found where it is.
    statement = parse(head.decode("latin-1"))
    if statement.inserts:
        data = (statement.data or "").encode("latin-1")
        whole = Statement(
            statement.sql.encode("latin-1").decode(), statement.format, statement.verb, None, True, statement.selects
        )
        return whole, chain((data,), body)
    return parse(head.decode()), iter(())


def _limited(body: Iterator[bytes]) -> bytes:
    whole = bytearray()
    for piece in body:
        whole += piece
        if len(whole) > STATEMENT_BYTES:
            raise error(62, f"The statement is longer than {STATEMENT_BYTES} bytes", "SYNTAX_ERROR")
    return bytes(whole)


def _content_type(data_format: str) -> str:
    name = data_format.lower()
    if name.startswith("json") and "eachrow" not in name:
        return "application/json; charset=UTF-8"
    if "eachrow" in name:
        return "application/x-ndjson; charset=UTF-8"
    if name.startswith(("rowbinary", "arrow", "native")):
        return "application/octet-stream"
    return "text/tab-separated-values; charset=UTF-8" if name.startswith("tab") else "text/plain; charset=UTF-8"


def main() -> None:
    """Serves until it is told to stop."""
    arguments = argparse.ArgumentParser(description="ClickHouse's HTTP interface in front of chdb")
    arguments.add_argument("--data", type=Path, required=True, help="the folder of the database; made when missing")
    arguments.add_argument("--listen", default="127.0.0.1:8123", help="address and port; port 0 chooses one")
    arguments.add_argument("--port-file", type=Path, help="where the port is written once it serves")
    arguments.add_argument("--user", help="the one user who may ask; without, everybody may")
    arguments.add_argument("--password", default="", help="of that user")
    given = arguments.parse_args()
    host, _, port = given.listen.rpartition(":")
    engine = Engine(given.data.absolute())
    login = (given.user, given.password) if given.user else None
    front = Front((host, int(port)), engine, login)
    # What was acknowledged is on the disk: there is nothing to wait for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    chosen = front.server_address[1]
    if given.port_file:
        unfinished = given.port_file.with_suffix(".new")
        unfinished.write_text(f"{chosen}\n")
        unfinished.rename(given.port_file)
    print(f"http://{host}:{chosen}", flush=True)
    front.serve_forever()


if __name__ == "__main__":
    main()
