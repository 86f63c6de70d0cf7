"""The table of a batch: CSV for everybody, Parquet with kinds, units and meanings in its schema."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backend.assets.atomic import write_bytes
from backend.gallery.collect import Row
from backend.gallery.columns import COLUMNS, Column

_TYPES = {"text": pa.string(), "number": pa.float64(), "whole": pa.int64(), "flag": pa.bool_()}


def write_table(rows: Sequence[Row], out: Path) -> list[Path]:
    """`out/table.csv` and `out/table.parquet`, each whole or not at all. Errors: ResourceError where the disk refuses."""
    return [write_bytes(out / "table.csv", csv_text(rows).encode()), write_bytes(out / "table.parquet", parquet_bytes(rows))]


def csv_text(rows: Sequence[Row]) -> str:
    """One line a job under the names of `COLUMNS`, empty where there is no value, true and false in small letters."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    writer.writerows([_cell(row[column.name]) for column in COLUMNS] for row in rows)
    return written.getvalue()


def parquet_bytes(rows: Sequence[Row]) -> bytes:
    """A Parquet file of `rows`; every field's metadata says `unit` and `description`."""
    schema = pa.schema([_field(column) for column in COLUMNS])
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer, compression="zstd")
    return buffer.getvalue()


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, _TYPES[column.kind], metadata={"unit": column.unit, "description": column.about})


def _cell(value: object) -> object:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else value
