"""`jupyter dpsynth compare` and `evaluate`: the quality of a synthetic table, for free or for an epsilon."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.options import add_dataset, add_table
from jupyter_dpsynth.cli.several import add_other_tables, private_tables, synthetic_tables, typed, with_types
from jupyter_dpsynth.cli.tables import add_reading
from jupyter_dpsynth.display.console import working
from jupyter_dpsynth.errors import ArtifactError, ConfigError, DataError

if TYPE_CHECKING:
    import argparse

    import pandas as pd

    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

__all__ = ["add_compare", "add_evaluate"]

SYNTHETIC = (
    "a synthetic table of this model, or the folder of several ones ('out/*.csv'); by default one is made"
)
WORD = "your word that the table is synthetic, where that is not known (of files that synthesize wrote it is)"
UNKNOWN = (
    "{path} is not known to be synthetic: exact figures of its rows would be shown, and if they are private, "
    "no epsilon covers them. Known are files that 'jupyter dpsynth synthesize' wrote on this machine and "
    "nobody has changed, and Parquet files that it wrote elsewhere. If this table is synthetic, say so: "
    "--synthetic. To compare the private table, name it with --original."
)


def add_compare(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="compare a synthetic table with the noisy measurements (free)",
        description="Compare a synthetic table with the noisy measurements of the original, which epsilon "
        "has paid for. With --original, compare with the real table instead: NOT covered by epsilon, for the "
        "owner's eyes only.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="a saved model")
    parser.add_argument("synthetic", nargs="?", help=SYNTHETIC)
    parser.add_argument("--synthetic", dest="stated", action="store_true", help=WORD)
    parser.add_argument("--original", metavar="TABLE", help="the real table: NOT covered by epsilon")
    parser.add_argument("--holdout", metavar="TABLE", help="with --original: real rows that were not learned")
    parser.add_argument(
        "--target",
        metavar="COLUMN",
        help="with --original: also train a model for it, and test it on real rows",
    )
    parser.add_argument(
        "--by", metavar="COLUMN", help="with --html: also show every column within each category of it"
    )
    _add_html(parser)
    add_other_tables(parser)
    add_reading(parser)
    parser.set_defaults(run=compare)


def add_evaluate(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "evaluate",
        help="measure the quality with noise, for an epsilon of its own",
        description="Measure with noise how close a synthetic table comes to the real one. The cost is "
        "recorded in the ledger first; the report may be published.",
        allow_abbrev=False,
    )
    parser.add_argument("model", help="a saved model")
    add_table(parser)
    parser.add_argument("synthetic", nargs="?", help=SYNTHETIC)
    parser.add_argument("--synthetic", dest="stated", action="store_true", help=WORD)
    parser.add_argument(
        "--epsilon", type=float, required=True, help="what the report may spend, in addition to learning"
    )
    parser.add_argument("--target", metavar="COLUMN", help="also train a model for this categorical column")
    _add_html(parser)
    add_other_tables(parser)
    add_dataset(parser)
    parser.set_defaults(run=evaluate)


def _add_html(parser: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    parser.add_argument("--html", metavar="FILE", help="also write the report, with its plots, as HTML")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def compare(options: argparse.Namespace) -> int:
    """Print the comparison.

    Privacy:
        Against the measurements, what epsilon has paid for; against the original, none.
    """
    from jupyter_dpsynth.cli.tables import open_table, reading_of
    from jupyter_dpsynth.evaluation.report import UtilityReport
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    for option in ("holdout", "target"):
        if getattr(options, option) is not None and options.original is None:
            raise ConfigError(
                f"--{option} reads the real table: add --original TABLE (not covered by epsilon)."
            )
    html = _html_of(options)
    synthesizer = HighDimSynthesizer.load(options.model)
    df_synth = _synthetic(options, synthesizer)
    if synthesizer.tables_meta is not None:
        return _compare_tables(options, synthesizer, df_synth, html)
    if options.children:
        raise ConfigError("--children is for a model of several tables: leave it out.")
    if options.original is None:
        stated = options.stated or options.synthetic is None
        with working("comparing with the noisy measurements"):
            report = UtilityReport.against_measurements(synthesizer, df_synth, synthetic=stated)
        return _show(report, html, synthesizer.receipt.headline, options.by)
    reading = reading_of(options)
    with working("comparing with the original"), open_table(options.original, reading) as original:
        unseen = None if options.holdout is None else open_table(options.holdout, reading)
        report = UtilityReport.against_original(
            original, df_synth, target=options.target, holdout=unseen, synthesizer=synthesizer
        )
    return _show(report, html, synthesizer.receipt.headline, options.by)


def _compare_tables(
    options: argparse.Namespace,
    synthesizer: HighDimSynthesizer,
    tables_synth: dict[str, pd.DataFrame],
    html: Path | None,
) -> int:
    """The same for a model of several tables of the same persons."""
    from jupyter_dpsynth.evaluation.histories import compare_histories
    from jupyter_dpsynth.evaluation.history_measured import compare_measured
    from jupyter_dpsynth.persons.learning import in_memory

    for option in ("holdout", "target", "by"):
        if getattr(options, option) is not None:
            raise ConfigError(f"--{option} is for one table: leave it out.")
    if options.original is None:
        if options.children:
            raise ConfigError("--children names a private table: add --original TABLE, the first of them.")
        stated = options.stated or options.synthetic is None
        with working("comparing with the noisy measurements"):
            report = compare_measured(synthesizer, tables_synth, synthetic=stated)
        return _show(report, html, synthesizer.receipt.headline)
    if synthesizer.tables_meta is None:
        raise TypeError
    opened = private_tables(options, options.original, synthesizer.tables_meta)
    with working("comparing with the original"):
        tables = with_types(in_memory(opened), synthesizer.tables_meta)
        report = compare_histories(synthesizer, tables, tables_synth)
    return _show(report, html, synthesizer.receipt.headline)


def evaluate(options: argparse.Namespace) -> int:
    """Print the private report.

    Privacy:
        What is printed is privatised, besides the ledger's line, which is for the owner.
    """
    from jupyter_dpsynth.evaluation.private import evaluate_privately
    from jupyter_dpsynth.privacy.ledger.datasets import label_of
    from jupyter_dpsynth.synthesizer import HighDimSynthesizer

    html = _html_of(options)
    synthesizer = HighDimSynthesizer.load(options.model)
    df_synth = _synthetic(options, synthesizer)
    with working("measuring with noise"):
        report = evaluate_privately(
            synthesizer,
            private_tables(options, options.table, synthesizer.tables_meta),
            df_synth,
            epsilon=options.epsilon,
            target=options.target,
            dataset=options.dataset,
            label=label_of(Path(options.table).name.partition(".")[0]),
            new_dataset=options.new_dataset,
            infinite_total=options.infinite_total,
            synthetic=options.stated or options.synthetic is None,
        )
    return _show(report, html)


def _synthetic(options: argparse.Namespace, synthesizer: HighDimSynthesizer) -> Any:  # noqa: ANN401
    """The synthetic table that is named, or a new one; of several tables, all of them by name."""
    from jupyter_dpsynth.cli.remembered import are_remembered
    from jupyter_dpsynth.cli.tables import read_table
    from jupyter_dpsynth.engine.sampling.provenance import is_known_synthetic, mark_synthetic

    if options.synthetic is None:
        return synthesizer.synthesize(frame="pandas")
    several = synthesizer.tables_meta
    if several is None:
        made = typed(read_table(options.synthetic), synthesizer.df_meta)
        tables = [made]
    else:
        made = synthetic_tables(options.synthetic, several)
        tables = list(made.values())
    if are_remembered(options.synthetic):
        for table in tables:
            mark_synthetic(table)
    exact = getattr(options, "original", None) is None  # else nothing about the rows is for others anyway
    if exact and not options.stated and not all(map(is_known_synthetic, tables)):
        raise DataError(UNKNOWN.format(path=options.synthetic))
    return made


def _html_of(options: argparse.Namespace) -> Path | None:
    """Where the report goes; checked before anything is read or spent."""
    from jupyter_dpsynth.cli.tables import REPLACED, checked_output

    if options.html is None:
        if options.overwrite:
            raise ConfigError("--overwrite needs a file: give --html.")
        return None
    return checked_output(options.html, replace=options.overwrite, otherwise=REPLACED, option="--html")


def _page(report: Any, guarantee: str, by: str | None) -> str:  # noqa: ANN401 - two kinds of reports
    from jupyter_dpsynth.evaluation.histories import HistoryReport
    from jupyter_dpsynth.evaluation.page import comparison_page, page
    from jupyter_dpsynth.evaluation.report import UtilityReport

    if isinstance(report, UtilityReport):
        return comparison_page(report, guarantee=guarantee, by=by)
    if isinstance(report, HistoryReport):
        return report.to_page(guarantee)
    return page("Private quality report", report)


def _show(report: Any, html: Path | None, guarantee: str = "", by: str | None = None) -> int:  # noqa: ANN401
    banner = getattr(report, "banner", "")
    sys.stdout.write(f"⚠ {banner}\n\n" if banner else "")
    sys.stdout.write(f"{report.summary()}\n")
    if html is not None:
        try:
            html.write_text(_page(report, guarantee, by), encoding="utf-8")
        except OSError as error:
            raise ArtifactError(f"--html = {str(html)!r} cannot be written: {error.strerror}.") from None
        sys.stdout.write(f"The whole report is in {html}\n")
    return 0
