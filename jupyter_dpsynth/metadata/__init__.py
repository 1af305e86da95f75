"""What is known of a table without reading a value: its columns, their types, and what the user declares."""

from jupyter_dpsynth.metadata.columns import (
    CategoricalMeta,
    ColumnMeta,
    ContinuousMeta,
    DataFrameMeta,
    DatetimeMeta,
    IdMeta,
    column_meta_from_dict,
)
from jupyter_dpsynth.metadata.extracting import MetaExtractor

__all__ = [
    "CategoricalMeta",
    "ColumnMeta",
    "ContinuousMeta",
    "DataFrameMeta",
    "DatetimeMeta",
    "IdMeta",
    "MetaExtractor",
    "column_meta_from_dict",
]
