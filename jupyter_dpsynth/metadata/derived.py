"""Public declarations that a column follows from others, and is computed instead of learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.errors import MetadataError, did_you_mean, shown
from jupyter_dpsynth.metadata.columns import ContinuousMeta, DatetimeMeta
from jupyter_dpsynth.metadata.formulas import UNITS, read_formula, written

if TYPE_CHECKING:
    from jupyter_dpsynth.metadata.columns import DataFrameMeta

__all__ = ["check_derived", "declared_derived"]


def declared_derived(name: str, text: object, kind: str) -> str:
    """The formula that is declared for a column; '' if there is none.

    Args:
        name: The column.
        text: What was declared.
        kind: What the column holds: 'number', 'datetime' or 'category'.

    Raises:
        MetadataError: It is no formula, or the column does not hold numbers.
    """
    if text is None:
        return ""
    formula = read_formula(text) if isinstance(text, str) else None
    if formula is None:
        raise MetadataError(
            f"derived of column {name!r} is {shown(text)}: write a sum or difference of columns ('net + "
            "tax', 'round(gross - tax, 2)') or the time between two dates ('years(admitted - born)'; units: "
            f"{', '.join(UNITS)}). Put names with other signs than letters, digits and _ into backticks."
        )
    if kind != "number":
        raise MetadataError(
            f"derived names column {name!r}, which does not contain numbers: leave it out of derived."
        )
    return written(formula)


def check_derived(df_meta: DataFrameMeta) -> None:
    """Raise MetadataError unless declared formulas name columns that fit and are not derived from themselves.

    Nor may a derived column have a declared order, since it is not learned.
    """
    metas = {meta.name: meta for meta in df_meta.columns}
    derived = df_meta.derivations
    names = {name for name, _ in derived}
    round_again = [meta.name for meta in df_meta.columns if getattr(meta, "derived", "")]
    round_again = [name for name in round_again if name not in names]
    if round_again:
        listed = ", ".join(map(repr, round_again[:3]))
        raise MetadataError(f"derived goes round in a circle among {listed}: leave one of them out.")
    for name, formula in derived:
        for other in formula.columns:
            if other not in metas:
                hint = did_you_mean(other, metas)
                raise MetadataError(
                    f"derived of column {name!r} names {shown(other)}, which is not in the table.{hint}"
                )
            meta = metas[other]
            moment = isinstance(meta, DatetimeMeta) and not meta.is_duration
            if not (moment if formula.unit else isinstance(meta, ContinuousMeta)):
                what = "points in time" if formula.unit else "numbers"
                raise MetadataError(
                    f"derived of column {name!r} names {other!r}, which does not hold {what}: convert it "
                    "first, or leave the column out of derived."
                )
    for meta in df_meta.columns:
        low = next((each for each in getattr(meta, "at_least", ()) if each in names), None)
        if low is not None:
            raise MetadataError(
                f"at_least of column {meta.name!r} names {low!r}, which is derived from others: name those, "
                "or leave one of both out."
            )
    if derived and not df_meta.learned:
        raise MetadataError("derived names every column: leave out those that are to be learned.")
