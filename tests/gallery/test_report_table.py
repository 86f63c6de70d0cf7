"""The table as CSV and as Parquet says the same, with units."""

import csv
import io

import pyarrow.parquet as pq

from backend.gallery.collect import collect
from backend.gallery.columns import COLUMNS
from backend.gallery.table import csv_text, write_table
from tests.gallery.folder import fail, finish, jobs_of, write_plan


def batch_of(tmp_path):
    entries = jobs_of(['a "red" apple, ripe', "a blue vase"], ["sds"], [0])
    write_plan(tmp_path, entries)
    finish(tmp_path, entries[0], recall=0.1 + 0.2)
    fail(tmp_path, entries[1], "It ran\nout of memory.")
    return collect(tmp_path)


def test_both_files_hold_the_rows(tmp_path):
    rows = batch_of(tmp_path).rows
    rows[0]["judge_ig"] = float("inf")
    files = write_table(rows, tmp_path)
    assert [path.name for path in files] == ["table.csv", "table.parquet"]
    assert pq.read_table(files[1]).to_pylist() == rows
    read = list(csv.DictReader(io.StringIO(files[0].read_text())))
    assert [row["prompt"] for row in read] == ['a "red" apple, ripe', "a blue vase"]
    assert float(read[0]["recall"]) == 0.1 + 0.2 and read[0]["watertight"] == "true" and read[0]["judge_ig"] == "inf"
    assert read[1]["recall"] == "" and read[1]["trouble"] == "It ran\nout of memory."


def test_parquet_says_units_and_meanings(tmp_path):
    schema = pq.read_schema(write_table(batch_of(tmp_path).rows, tmp_path)[1])
    assert schema.names == [column.name for column in COLUMNS]
    assert schema.field("total_s").metadata == {b"unit": b"s", b"description": b"Seconds of the whole run"}
    assert str(schema.field("seed").type) == "int64" and str(schema.field("watertight").type) == "bool"


def test_a_table_of_no_jobs_has_its_header(tmp_path):
    assert csv_text([]).strip() == ",".join(column.name for column in COLUMNS)
    assert pq.read_table(write_table([], tmp_path)[1]).num_rows == 0


def test_names_of_quantities_end_in_their_units():
    endings = {"s": "_s", "MiB": "_mib", "nats": "_nats", "stroke radii": "_stroke_radii"}
    for column in COLUMNS:
        if column.unit not in ("", "1"):
            assert column.name.endswith(endings[column.unit]), column
        assert column.unit or column.kind in ("text", "flag") or column.name == "seed", column
