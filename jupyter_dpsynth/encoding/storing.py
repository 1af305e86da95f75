"""Writes synthetic tables to Parquet and Feather with the types of the Parquet files that were learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.encoding.building import to_decimals
from jupyter_dpsynth.sources.forms import PANDAS, arrow_type

if TYPE_CHECKING:
    import os

    import pandas as pd

    from jupyter_dpsynth.sources.forms import TableForm

__all__ = ["write_arrow_file"]


def write_arrow_file(
    df: pd.DataFrame, path: str | os.PathLike[str], form: TableForm = PANDAS, *, feather: bool = False
) -> None:
    """Write a table as Parquet or Feather.

    Decimal numbers and days, which are floating numbers and points in time to pandas, get the types again
    that the learned files had.

    Args:
        df: The table.
        path: Where to.
        form: Of the table that was learned; of one in memory it says nothing.
        feather: Whether to write Feather.

    Raises:
        ImportError: pyarrow is not installed.
        OSError: It cannot be written.
    """
    import pyarrow as pa

    told = form.types if form.kind == PANDAS.kind else {}
    kinds = {name: arrow_type(told[name]) for name in df.columns if name in told}
    made = df.assign(**{name: _stored(df[name], kind) for name, kind in kinds.items()}) if kinds else df
    schema = None
    if kinds:
        schema = pa.Schema.from_pandas(made, preserve_index=False)
        for name, kind in kinds.items():
            schema = schema.set(schema.get_field_index(name), pa.field(name, kind))
    if not feather:
        made.to_parquet(path, index=False, schema=schema)
        return
    import pyarrow.feather

    pyarrow.feather.write_feather(pa.Table.from_pandas(made, schema, preserve_index=False), path)


def _stored(series: pd.Series, kind: Any) -> pd.Series:  # noqa: ANN401 - a pyarrow.DataType
    """A column as pyarrow makes a type of Arrow of it."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        return to_decimals(series, pd.ArrowDtype(kind)).astype(object)
    if pa.types.is_date(kind):
        return series.dt.date.astype(object).where(series.notna(), None)
    return series
