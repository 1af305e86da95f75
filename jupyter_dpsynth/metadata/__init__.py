"""What is known about a table without reading a value: columns, types, and declarations."""

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
