"""What the front knows of statements and bodies, without an engine: `python -m unittest` in this folder."""

from __future__ import annotations

import io
import unittest

from statement import parse, with_file
from wire import BodyError, joiner, pieces


class Statements(unittest.TestCase):
    """Which format, which data, and what is rewritten."""

    def test_the_format_is_cut_out_of_a_query(self) -> None:
        """At the end or before the settings; a column may have that name, and a string may hold the word."""
        table = [
            ("SELECT 1 FORMAT JSON", "SELECT 1", "JSON"),
            ("select 1 format JSON ;", "select 1", "JSON"),
            ("SELECT 1 FORMAT JSON SETTINGS max_threads = 1", "SELECT 1  SETTINGS max_threads = 1", "JSON"),
            ("SELECT format FROM t", "SELECT format FROM t", None),
            ("SELECT format FROM t FORMAT TSV", "SELECT format FROM t", "TSV"),
            ("SELECT 'x FORMAT JSON'", "SELECT 'x FORMAT JSON'", None),
            ("SELECT 1 -- FORMAT JSON", "SELECT 1 -- FORMAT JSON", None),
            ("SELECT (SELECT 1 FORMAT JSON)", "SELECT (SELECT 1 FORMAT JSON)", None),
        ]
        for sql, rest, data_format in table:
            found = parse(sql)
            self.assertEqual((found.sql, found.format, found.inserts), (rest, data_format, False), sql)

    def test_the_data_of_an_insert_begins_after_its_format(self) -> None:
        """One new line belongs to the statement, and everything after it is data, whatever it looks like."""
        table = [
            ("INSERT INTO t (a) FORMAT TSV\n\nFORMAT JSON", "INSERT INTO t (a)", "TSV", "\nFORMAT JSON"),
            ("INSERT INTO t FORMAT CSV", "INSERT INTO t", "CSV", ""),
            ("INSERT INTO t SETTINGS a = 1 FORMAT CSV 1", "INSERT INTO t SETTINGS a = 1", "CSV", "1"),
            ("INSERT INTO t VALUES (1, ')')", "INSERT INTO t", "Values", "(1, ')')"),
        ]
        for sql, rest, data_format, data in table:
            found = parse(sql)
            self.assertTrue(found.inserts, sql)
            self.assertEqual(
                (found.sql.strip(), found.format, (found.data or "").strip(" ")), (rest, data_format, data), sql
            )

    def test_an_insert_from_a_query_takes_a_body_only_with_input(self) -> None:
        """`input('…')` is read from a file."""
        self.assertFalse(parse("INSERT INTO t SELECT 1").inserts)
        found = parse("INSERT INTO t SELECT format FROM input('a UInt8') WHERE a > 1 FORMAT CSV")
        self.assertTrue(found.inserts and found.selects)
        self.assertEqual(
            with_file(found.sql, "/x", "CSV").strip(),
            "INSERT INTO t SELECT format FROM file('/x', 'CSV', 'a UInt8') WHERE a > 1",
        )

    def test_ids_of_clients_are_translated(self) -> None:
        """In KILL QUERY and in what is read from system.processes, nowhere else."""
        self.assertIn("Settings['log_comment'] = 'a'", parse("KILL QUERY WHERE query_id = 'a'").sql)
        self.assertIn("(SELECT * REPLACE", parse("SELECT query_id FROM system.processes").sql)
        self.assertEqual(parse("SELECT query_id FROM t").sql, "SELECT query_id FROM t")


class Bodies(unittest.TestCase):
    """Framing of what comes, and joining of what goes."""

    def test_a_body_that_ends_early_is_an_error(self) -> None:
        """Of either framing."""
        chunked = {"Transfer-Encoding": "chunked"}
        self.assertEqual(b"".join(pieces(io.BytesIO(b"3\r\nabc\r\n1;x\r\nd\r\n0\r\n\r\n"), chunked)), b"abcd")
        for body, headers in [(b"3\r\nabc\r\n", chunked), (b"3\r\nab", chunked), (b"ab", {"Content-Length": "3"})]:
            with self.assertRaises(BodyError):
                list(pieces(io.BytesIO(body), headers))

    def test_pieces_of_an_arrow_stream_have_one_schema_and_one_end(self) -> None:
        """A schema is a message without a body: a mark, a length, and so many bytes."""
        end = b"\xff\xff\xff\xff\x00\x00\x00\x00"
        schema = b"\xff\xff\xff\xff\x08\x00\x00\x00schema!!"
        join = joiner("ArrowStream")
        assert join is not None
        self.assertEqual(join(schema + b"one" + end, True), schema + b"one")
        self.assertEqual(join(schema + b"two" + end, False), b"two")

    def test_pieces_with_names_and_types_have_them_once(self) -> None:
        """A number of columns, then so many names and types, each with its length."""
        join = joiner("RowBinaryWithNamesAndTypes")
        assert join is not None
        header = b"\x01\x01n\x05UInt8"
        self.assertEqual(join(header + b"\x07", True) + join(header + b"\x08", False), header + b"\x07\x08")
        self.assertIsNone(joiner("JSON"))


if __name__ == "__main__":
    unittest.main()
