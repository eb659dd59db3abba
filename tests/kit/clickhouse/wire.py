"""Bytes on the way in and out: bodies of requests, and pieces of results that must become one document.

The engine streams a result as a row of documents, each whole by itself, and each with its own beginning and end. A client
expects one. For formats in which rows simply follow each other nothing is to be done; from an Arrow stream and from
`RowBinaryWithNamesAndTypes` the repeated beginning is cut. All other formats are answered in one piece.
"""

from __future__ import annotations

import email.parser
import email.policy
import zlib
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from typing import Any

# How much is read from a client at once.
PIECE_BYTES = 1 << 20

# The longest line of a chunked body's framing.
_LINE_BYTES = 4096

# Formats whose pieces may simply follow each other.
_ROWS = {
    "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "jsoneachrow", "jsonlines", "ndjson", "jsoncompacteachrow",
    "jsonstringseachrow", "csv", "rowbinary", "native", "tskv", "lineasstring", "rawblob", "msgpack",
}  # fmt: skip


class BodyError(Exception):
    """The body of a request that ended early or is not what its headers say."""


def pieces(source: BufferedIOBase, headers: Any) -> Iterator[bytes]:
    """The body of a request, as it comes, without its framing and its compression."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        raw = _chunked(source)
    else:
        raw = _sized(source, int(headers.get("Content-Length") or 0))
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return raw if encoding in ("", "identity") else _decoded(raw, encoding)


def _sized(source: BufferedIOBase, size: int) -> Iterator[bytes]:
    while size > 0:
        piece = source.read(min(size, PIECE_BYTES))
        if not piece:
            raise BodyError(f"the body ended {size} bytes early")
        size -= len(piece)
        yield piece


def _chunked(source: BufferedIOBase) -> Iterator[bytes]:
    while True:
        line = source.readline(_LINE_BYTES)
        try:
            size = int(line.split(b";")[0].strip(), 16)
        except ValueError:
            raise BodyError("the chunked body ended early") from None
        if size == 0:
            while source.readline(_LINE_BYTES).strip():
                pass
            return
        yield from _sized(source, size)
        if source.readline(_LINE_BYTES).strip():
            raise BodyError("a chunk is longer than it says")


def _decoded(raw: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    if encoding in ("gzip", "deflate"):
        decoder = zlib.decompressobj(wbits=47)
        for piece in raw:
            yield decoder.decompress(piece)
        yield decoder.flush()
        if not decoder.eof:
            raise BodyError(f"the {encoding} body ended early")
    elif encoding in ("zstd", "lz4"):
        import pyarrow

        whole = b"".join(raw)
        with pyarrow.CompressedInputStream(pyarrow.BufferReader(whole), encoding) as stream:
            while piece := stream.read(PIECE_BYTES):
                yield piece
    else:
        raise BodyError(f"Content-Encoding {encoding} is not one of gzip, deflate, zstd, lz4")


def fields(body: bytes, content_type: str) -> dict[str, str]:
    """The parts of a form (`multipart/form-data`), by name."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    form = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    found = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload.decode()
    return found


def joiner(data_format: str) -> Callable[[bytes, bool], bytes] | None:
    """How pieces of a result become one document: a function of a piece and whether it is the first; none if they cannot."""
    name = data_format.lower()
    if name in _ROWS:
        return lambda piece, first: piece
    if name == "arrowstream":
        return _arrow
    if name == "rowbinarywithnamesandtypes":
        return lambda piece, first: piece if first else piece[_header_bytes(piece) :]
    return None


def ending(data_format: str) -> bytes:
    """What a client expects after the last piece."""
    return ARROW_END if data_format.lower() == "arrowstream" else b""


# The end of an Arrow stream: a message of length 0.
ARROW_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def _arrow(piece: bytes, first: bool) -> bytes:
    """A stream without its end, and without its schema when it is not the first. The schema is a message without a body."""
    end = len(piece) - len(ARROW_END) if piece.endswith(ARROW_END) else len(piece)
    start = 0 if first else 8 + int.from_bytes(piece[4:8], "little")
    return piece[start:end]


def _header_bytes(piece: bytes) -> int:
    """How long the names and types are: a number of columns, then so many names and so many types."""
    columns, at = _varint(piece, 0)
    for _ in range(2 * columns):
        length, at = _varint(piece, at)
        at += length
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
