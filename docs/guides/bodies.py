"""Rebuilds the bodies of parts with nothing but their Parquet files, as the document of `part/body.rs` says.

`python3 bodies.py 'store/parts/*/*/*.parquet'` prints a JSON array for each record: stream, generation, offset, body. Needs DuckDB.
"""

import datetime
import json
import re
import sys

import duckdb

SLOT = re.compile("\x02([^\x03\x1f]*)(?:\x1f([^\x03]*))?\x03")
EPOCH = datetime.datetime(1970, 1, 1)


def printed(value, form, time):
    if isinstance(value, datetime.datetime):
        at = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds") + "Z"
    if not form:
        return str(value)
    if form[0] == "0":
        return str(value).zfill(int(form[1:]))
    if form == "a":
        return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))
    digits = int(form[2:] or 0)
    seconds, rest = divmod(time // 10 ** (9 - digits) + value, 10**digits)
    at = (EPOCH + datetime.timedelta(seconds=seconds)).isoformat()
    fraction = form[1] + str(rest).zfill(digits) if digits else ""
    return at + fraction + "Z" if form[0] == "z" else at[11:] + fraction


def body(row):
    template = row.get("body.template")
    if template is None:
        return row["body"]

    def value(slot):
        name, form = slot.groups()
        found = row.get(name)
        if found is None:
            found = row["fields"][name.removeprefix("fields.")]
        return printed(found, form, row["epoch"])

    return SLOT.sub(value, template)


def main():
    query = "select *, epoch_ns(time) as epoch from read_parquet(?, union_by_name=true)"
    found = duckdb.execute(query, [sys.argv[1]])
    names = [column[0] for column in found.description]
    while rows := found.fetchmany(1000):
        for values in rows:
            row = dict(zip(names, values))
            print(json.dumps([row["stream"].hex(), row["generation"], row["offset"], body(row)]))


main()
