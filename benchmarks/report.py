"""Write docs/benchmarks.md and its plots from the files of results.

python -m benchmarks.report
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from benchmarks import record
from benchmarks.histories import HALVES
from benchmarks.strangers import LOOKS, STRANGERS
from benchmarks.utility import FIGURES, summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Row = dict[str, Any]

DOCS = Path(__file__).resolve().parent.parent / "docs"
IMAGES = DOCS / "images"
# Okabe and Ito's palette, told apart with every common kind of colour blindness
COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#999999")

HEAD = """\
# Benchmarks

`python -m benchmarks.report` makes this page from the files in `benchmarks/results`. Each section names
the command that measures it and the machine. Times depend on the machine; ratios within one run carry
over to other machines.
"""


# what the short names of figures mean, with the better direction
MEANINGS = (
    ("tvd1", "mean total-variation distance of single columns, from 0 (equal) to 1", "lower"),
    ("tvd2", "the same for all pairs of columns", "lower"),
    ("tvd3", "the same for 150 triples of columns", "lower"),
    (
        "corr",
        "mean difference of Cramer's V (the strength of association) over all pairs of columns",
        "lower",
    ),
    ("tstr", "ROC AUC on held-out real rows of a classifier (trees) trained on synthetic rows", "higher"),
    (
        "c2st",
        "ROC AUC of a classifier (trees) that tells synthetic from held-out real rows; 0.5 is guessing",
        "lower",
    ),
    ("ratio", "tvd2 relative to that of a table with independent columns", "lower"),
)


COVERAGE = """
How often nominal 95 % intervals held the true figure of a known population, and in brackets their
median width relative to the usual interval of the real rows. *Naive* is the coverage of the usual
intervals of as many synthetic rows, taken for real ones; *real rows* that of the usual intervals of the
rows themselves. Figures of one run are not independent. A run's number is the seed of its sample and of
its noise. *Named*: the questions were named before learning. `persons` is learned with `privacy_unit`.

"""


HISTORIES = """
How far synthetic patients and their visits are from the real ones of a made hospital: total-variation
distances (the last two are Kolmogorov-Smirnov distances), 0 is equal. The promise is to a patient with all
visits. *Halves* sets one half of the real patients beside the other: a table of all of them can be below it.
*Again soon* is the ROC AUC, on other real patients, of 'another visit within 90 days' learned from the
tables. Other systems have no such promise and run without privacy, with a limit of time.

"""


ANSWERS = """
Processor time of `infer`, of `weighted`, and the size of the saved model with what its training steps
released. Columns of five categories, 5,000 rows. A table too wide for 4 sets of parameters to be kept
(2 million weights) has no answers about several columns but those that were named.

"""


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


def number(value: float | None, digits: int = 3) -> str:
    """A figure as text, a dash where there is none."""
    return "-" if value is None or value != value else f"{value:.{digits}f}"  # noqa: PLR0124 - NaN


def circumstances(facts: Row, command: str) -> str:
    """When and on what a section was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    machine = f"{facts['date']}, {facts['processors']} processors, Python {facts['python']}"
    return f"`{command}`, {machine}, {versions}.\n"


def _figure(panels: int, height: float = 3.2, columns: int = 2) -> tuple[Figure, list[Any]]:
    lines = -(-panels // columns)
    size = 3.8 * min(panels, columns), height * lines
    figure = Figure(figsize=size, dpi=110, facecolor="white", layout="constrained")
    places = list(figure.subplots(lines, min(panels, columns), squeeze=False).flat)
    for spare in places[panels:]:
        spare.set_axis_off()
    axes = places[:panels]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(visible=True, color="#dddddd", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes


def _save(figure: Figure, name: str, alternative: str) -> str:
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / f"{name}.png")
    return f"![{alternative}](images/{name}.png)\n"


def utility(rows: list[Row]) -> str:
    """Figures at equal epsilon, by table."""
    groups = [row for row in summary(rows) if row["system"].startswith(("ours", "independent", "real"))]
    tables = sorted({row["table"] for row in groups})
    words = (
        "How far synthetic tables are from the original at equal epsilon; means over runs. *Declared* means "
        "that the bounds and categories of all columns were given as public knowledge, *undeclared* that "
        "they were measured with noise.\n"
    )
    parts = [words, table(["figure", "meaning", "better"], MEANINGS), _utility_plot(groups, tables)]
    heads = ["epsilon", "system", "runs", *FIGURES, "ratio", "seconds", "measured"]
    for name in tables:
        chosen = [row for row in groups if row["table"] == name]
        cells = [
            [
                f"{row['epsilon']:g}" if row["epsilon"] else "no privacy",
                row["system"],
                row["runs"],
                *(number(row.get(figure), 4) for figure in FIGURES),
                number(row["ratio"], 2),
                number(row["seconds"], 0),
                row["date"],
            ]
            for row in chosen
        ]
        parts.append(f"### {name}\n\n{table(heads, cells)}")
    return "\n".join(parts)


def strangers(rows: list[Row]) -> str:
    """Two-way error beside that of independent columns and of peers, of tables that no rule was tuned to."""
    words = (
        "Public tables that were chosen by kind and size before anything was measured. *Open* ones may be "
        "looked at while the method changes, *kept* ones only when a change is complete: their figures were "
        f"looked at {LOOKS}. *Independent columns* are every column shuffled by itself, without noise: no "
        "privacy. *Ratio* is the two-way error divided by theirs. The first table has the two-way error of "
        "all systems with a declared domain, with the number of runs in brackets.\n"
    )
    groups = summary(rows)
    parts = {each.name: each.part for each in STRANGERS}
    cells = [
        [
            row["table"],
            f"{row['epsilon']:g}" if row["epsilon"] else "no privacy",
            row["system"],
            row["runs"],
            *(number(row.get(figure), 4) for figure in FIGURES),
            number(row["ratio"], 2),
        ]
        for row in groups
        if row["system"] != "real rows"
    ]
    whole = table(["table", "epsilon", "system", "runs", *FIGURES, "ratio"], cells)
    return "\n".join([words, _strangers_at_a_glance(groups, parts), whole, _failures(rows)])


def _strangers_at_a_glance(groups: list[Row], parts: dict[str, str]) -> str:
    """One line for each table: two-way error at every epsilon, of every system that was told the domain."""
    found = {(row["table"], row["epsilon"], row["system"]): row for row in groups}
    epsilons = sorted({row["epsilon"] for row in groups if row["epsilon"]})
    others = sorted(
        {row["system"] for row in groups} - {"independent columns", "real rows", "ours, undeclared"},
        key=lambda system: (not system.startswith("ours"), system),
    )
    columns = [(epsilon, system) for epsilon in epsilons for system in others]
    heads = [
        "table",
        "part",
        "independent columns",
        *(f"{system}, {epsilon:g}" for epsilon, system in columns),
    ]

    def cell(row: Row | None) -> str:
        return "-" if row is None else f"{number(row['tvd2'], 4)} ({row['runs']})"

    lines = [
        [
            name,
            parts[name],
            number(found[name, 0.0, "independent columns"]["tvd2"], 4),
            *(cell(found.get((name, *column))) for column in columns),
        ]
        for name in sorted(parts, key=lambda name: (parts[name] != "open", name))
        if (name, 0.0, "independent columns") in found
    ]
    return table(heads, lines)


def _utility_plot(groups: list[Row], tables: list[str]) -> str:
    figure, axes = _figure(len(tables))
    systems = sorted({row["system"] for row in groups if row["epsilon"]})
    measured = sorted({row["epsilon"] for row in groups if row["epsilon"]})
    for axis, name in zip(axes, tables, strict=True):
        for colour, system in zip(COLOURS * 3, systems, strict=False):
            line = [row for row in groups if row["table"] == name and row["system"] == system]
            axis.plot(
                [row["epsilon"] for row in line],
                [row["tvd2"] for row in line],
                marker="o",
                color=colour,
                label=system,
            )
        plain = [row for row in groups if row["table"] == name and row["system"].startswith("independent")]
        for row in plain:
            axis.axhline(
                row["tvd2"], color="#555555", linestyle="--", linewidth=1, label="independent columns"
            )
        axis.set_xscale("log")
        axis.set_xticks(measured, [f"{epsilon:g}" for epsilon in measured])
        axis.minorticks_off()
        axis.set_ylim(bottom=0)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("epsilon")
        axis.set_ylabel("mean two-way distance")
    axes[0].legend(fontsize=7, frameon=False)
    return _save(figure, "utility", "Two-way distance against epsilon, by table")


def peers(rows: list[Row]) -> str:
    """Other systems beside ours with the same domain."""
    done = [row for row in rows if "failed" not in row]
    groups = sorted(_beside(done), key=lambda row: (row["table"], row["epsilon"], row["tvd2"]))
    words = (
        "Each system got the whole epsilon, delta = 1/(10 n) and, if it accepts them, the bounds and "
        "categories of all columns as public knowledge. It ran in its own environment with its own "
        "defaults (`benchmarks/peers.py` names the exceptions). In brackets: relative to this package at the "
        "same epsilon. The figures are explained above. Other work ran on the machine at the same time, so "
        "seconds are an upper bound.\n"
    )
    heads = ["table", "epsilon", "system", "version", "runs", *FIGURES, "seconds", "measured"]

    def cell(row: Row, figure: str) -> str:
        value = number(row.get(figure), 4)
        return f"{value} ({row['to ours']:.2f})" if figure == "tvd2" else value

    cells = [
        [
            row["table"],
            f"{row['epsilon']:g}",
            row["system"],
            row["version"],
            row["runs"],
            *(cell(row, figure) for figure in FIGURES),
            number(row["seconds"], 0),
            row["date"],
        ]
        for row in groups
    ]
    return "\n".join([words, _peers_plot(groups, done), table(heads, cells), _failures(rows)])


def _beside(rows: list[Row]) -> list[Row]:
    """Means over runs of each peer and of ours with a declared domain, at every epsilon of a peer's."""
    versions = {row["system"]: row["version"] for row in rows if "version" in row}
    groups = summary(rows)
    ours = {
        (row["table"], row["epsilon"]): row["tvd2"] for row in groups if row["system"] == "ours, declared"
    }
    places = {(row["table"], row["epsilon"]) for row in groups if row["system"] in versions}
    return [
        {
            **row,
            "version": versions.get(row["system"], "-"),
            "to ours": row["tvd2"] / ours.get((row["table"], row["epsilon"]), float("nan")),
        }
        for row in groups
        if (row["table"], row["epsilon"]) in places
        and (row["system"] in versions or row["system"] == "ours, declared")
    ]


def _peers_plot(groups: list[Row], rows: list[Row]) -> str:
    """Bars at the epsilon at which most was measured."""
    epsilons = [row["epsilon"] for row in groups]
    epsilon = max(epsilons, key=epsilons.count)
    bars = [row for row in groups if row["epsilon"] == epsilon]
    tables = sorted({row["table"] for row in bars if row["version"] != "-"})
    ratios: dict[str, list[float]] = defaultdict(list)
    for row in bars:
        ratios[row["system"]].append(row["to ours"])
    systems = sorted(ratios, key=lambda name: sum(ratios[name]) / len(ratios[name]))
    figure, axes = _figure(len(tables), 1.2 + 0.3 * len(systems), len(tables))
    for axis, name in zip(axes, tables, strict=True):
        alone = [row["tvd2"] for row in rows if row["table"] == name and row["system"].startswith("indep")]
        here = [row for row in bars if row["table"] == name]
        for row in here:
            colour = COLOURS[0] if row["system"].startswith("ours") else COLOURS[5]
            place = systems.index(row["system"])
            axis.barh(place, row["tvd2"], height=0.6, color=colour)
            text = f" {row['tvd2']:.3f}  ({row['to ours']:.1f} x)"
            paper = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
            axis.text(1.02 * row["tvd2"], place, text, va="center", fontsize=7, bbox=paper)
        axis.axvline(alone[-1], color="#555555", linestyle="--", linewidth=1, label="independent columns")
        axis.set_xlim(0, 1.45 * max(row["tvd2"] for row in here))
        axis.set_yticks(range(len(systems)), systems if axis is axes[0] else [], fontsize=8)
        axis.set_ylim(len(systems) - 0.4, -0.6)
        axis.grid(visible=False, axis="y")
        axis.set_title(f"{name}, epsilon {epsilon:g}", fontsize=10)
        axis.set_xlabel("mean two-way distance", fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower right", fontsize=7, frameon=False)
    return _save(figure, "peers", "Two-way distance of every system, by table, with its ratio to ours")


def _failures(rows: list[Row]) -> str:
    """What gave no result, and why; empty if there is none."""
    failed = {(row["table"], row["system"], row["epsilon"]): row["failed"] for row in rows if "failed" in row}
    if not failed:
        return ""
    lines = [[name, system, f"{epsilon:g}", why] for (name, system, epsilon), why in failed.items()]
    return f"### No result\n\n{table(['table', 'system', 'epsilon', 'why'], lines)}"


def step_cost(rows: list[Row]) -> str:
    """Milliseconds of a step, private and not."""
    batches = sorted({row["batch"] for row in rows})
    names = list(dict.fromkeys(row["variant"] for row in rows))
    found = {(row["variant"], row["batch"]): row for row in rows}
    versions = {row["variant"]: f" ({row['version']})" for row in rows if "version" in row}
    cells = [
        [name + versions.get(name, ""), *(_step_cell(found.get((name, batch))) for batch in batches)]
        for name in names
    ]
    text = "Median milliseconds per training step; in brackets, relative to our private step.\n\n"
    return text + table(["variant", *(f"batch {batch}" for batch in batches)], cells)


def _step_cell(row: Row | None) -> str:
    return "-" if row is None else f"{row['milliseconds']:.2f} ({row['ratio']:.2f})"


def growth(rows: list[Row]) -> str:
    """Time and memory against rows and columns."""
    heads = list(rows[0])
    columns = {row["columns"] for row in rows}
    by_rows = [row for row in rows if sum(other["columns"] == row["columns"] for other in rows) > 1]
    by_columns = [row for row in rows if row not in by_rows] if len(columns) > 1 else []
    figure, axes = _figure(4)
    for pair, chosen, what in ((axes[:2], by_rows, "rows"), (axes[2:], by_columns, "columns")):
        line = sorted(chosen, key=lambda row: row[what])
        for axis, measured, planned, unit in (
            (pair[0], "seconds", "planned seconds", "seconds"),
            (pair[1], "megabytes", "planned megabytes", "megabytes"),
        ):
            place = [row[what] for row in line]
            axis.plot(place, [row[measured] for row in line], marker="o", color=COLOURS[0], label="measured")
            axis.plot(
                place,
                [row[planned] for row in line],
                marker="x",
                linestyle="--",
                color=COLOURS[2],
                label="planned",
            )
            axis.set_xscale("log")
            axis.set_yscale("log")
            axis.set_xlabel(what)
            axis.set_ylabel(unit)
    axes[0].legend(fontsize=8, frameon=False)
    picture = _save(figure, "growth", "Time and memory against rows and columns, measured and planned")
    return f"{picture}\n{table(heads, ([f'{row[head]:,}' for head in heads] for row in rows))}"


INTERACTIONS = """
Generated tables of 30,000 rows in which a value depends on two or three columns only together, beside
eight columns that tell nothing; means over runs, each of rows of its own. *Error* is the total-variation
distance of the joint table of the columns that belong together from that of the learned rows, with numbers
in eight bins of equal weight, and *chance* that of as many new rows of the true distribution. *Prediction*
is the ROC AUC on new rows of trees that learn from the table whether the last column is above its mean,
and *possible* that of trees that learn from the rows themselves. *Cells alone* are these rows with each
number drawn anew within the cell that holds it: no model comes nearer to numbers in other bins.

"""


def interactions(rows: list[Row]) -> str:
    """Errors where columns tell only together."""
    groups: dict[tuple[str, float, str], list[Row]] = defaultdict(list)
    for row in rows:
        if "failed" not in row:
            groups[row["table"], row["epsilon"] or 0.0, row["system"]].append(row)
    cells = [
        [
            name,
            f"{epsilon:g}" if epsilon else "no privacy",
            system,
            len(runs),
            *(number(sum(run[key] for run in runs) / len(runs), 4) for key in ("error", "chance")),
            *(number(sum(run[key] for run in runs) / len(runs)) for key in ("kept", "possible")),
        ]
        for (name, epsilon, system), runs in sorted(groups.items())
    ]
    heads = ["table", "epsilon", "system", "runs", "error", "chance", "prediction", "possible"]
    return f"{INTERACTIONS}{table(heads, cells)}\n{_failures(rows)}"


def ceilings(rows: list[Row]) -> str:
    """Errors of two halves of the rows, and of rows that only went through their cells."""
    words = (
        "*Halves* sets one half of the learned rows beside the other: two independent tables of half the "
        "size differ by that much, and tables of the whole size by about a root of two less. *Cells alone* "
        "are the rows themselves, each value drawn anew within its cell of a plan at epsilon 10: no model of "
        "these cells keeps more. The figures are those of the tables above.\n\n"
    )
    cells = [[row["table"], row["what"], *(number(row.get(name), 4) for name in FIGURES)] for row in rows]
    return words + table(["table", "what", *FIGURES], cells)


def plain(rows: list[Row]) -> str:
    """Results as they are."""
    heads = list(rows[0])
    return table(heads, ([_large(row[head]) for head in heads] for row in rows))


def _large(value: object) -> object:
    """A number above a thousand as whole thousands, anything else as it is."""
    return f"{round(value, -3):,.0f}" if isinstance(value, float) and value >= 1000 else value


def scale(rows: list[Row]) -> str:
    """Tables that were written and learned, one line for each."""
    heads = [
        "rows",
        "rows written per second",
        "learned in, s",
        "of which training, s",
        "rows per second before training",
    ]
    heads += ["peak memory, GB", "forecast memory, GB", "forecast temporary files, GB"]
    writing = {row["rows"]: row for row in rows if row["what"].startswith("write")}
    cells = []
    for row in rows:
        if row["what"].startswith("learn"):
            training = row["seconds of training"]
            cells.append(
                [
                    f"{row['rows']:,}",
                    f"{writing[row['rows']]['rows/s']:,.0f}",
                    f"{row['seconds']:,.0f}",
                    f"{training:,.0f}",
                    f"{row['rows'] / (row['seconds'] - training):,.0f}",
                    number(row["gigabytes at the peak"], 2),
                    number(row["gigabytes planned"], 2),
                    number(row["gigabytes of temporary files planned"], 2),
                ]
            )
    return table(heads, cells)


def structure(rows: list[Row]) -> str:
    """Relations, orders, spikes and missingness, one line for each kind of each table."""
    groups: dict[tuple[str, float, str], list[float]] = defaultdict(list)
    for row in rows:
        groups[row["table"], row["epsilon"], row["kind"]].append(row["value"])
    cells = [
        [
            name,
            f"{epsilon:g}",
            kind,
            len(values),
            number(sum(values) / len(values), 4),
            number(max(values), 4),
        ]
        for (name, epsilon, kind), values in groups.items()
    ]
    return table(["table", "epsilon", "what is measured", "number of cases", "mean", "worst"], cells)


def coverage(rows: list[Row]) -> str:
    """One line for each setting: coverage and width of each kind, and coverage of the other two ways."""
    settings: dict[tuple[str, bool, int, float, int], dict[tuple[str, str], Row]] = defaultdict(dict)
    for row in rows:
        key = row["population"], row.get("named", False), row["rows"], row["epsilon"], row["runs"]
        settings[key][row["kind"], row["way"]] = row
    kinds = list(dict.fromkeys(row["kind"] for row in rows if row["kind"] != "all"))
    cells = []
    for (name, named, count, epsilon, runs), found in sorted(settings.items()):
        line = [f"{name}, named" if named else name, f"{count:,}", f"{epsilon:g}", runs]
        for kind in (*kinds, "all"):
            ours = found.get((kind, "ours"))
            if ours is None or ours["coverage"] is None:
                line.append("refused")
            else:
                line.append(f"{ours['coverage']:.0%} ({number(ours['width'], 1)})")
        line += [f"{found['all', way]['coverage']:.0%}" for way in ("naive", "real")]
        cells.append(line)
    heads = ["population", "rows", "epsilon", "runs", *kinds, "all", "naive", "real rows"]
    return COVERAGE + table(heads, cells)


def answers(rows: list[Row]) -> str:
    """Times of answers and sizes of files, one line for each number of columns."""
    heads = ["columns", "weights", "file, MB", "first answer, s", "further ones, s", "5,000 weighted rows, s"]
    keys = ("columns", "weights", "megabytes", "first", "further", "weighted")
    return ANSWERS + table(heads, ([f"{row[key]:,}" for key in keys] for row in rows))


NOT_FIGURES = ("patients", "system", "seed", "epsilon")  # of the results of histories
RULES = {
    "auc": "again soon",
    "integrity": "visits of a patient that is there",
    "in order": "visits in order",
    "after death": "deaths that another visit follows",
    "seconds": "seconds of processor time",
}


def histories(rows: list[Row]) -> str:
    """A table for each number of patients: one line a figure, one column a system; means over runs."""
    parts = [HISTORIES]
    for patients in sorted({row["patients"] for row in rows}, reverse=True):
        systems: dict[str, list[Row]] = defaultdict(list)
        failed = []
        for row in rows:
            if row["patients"] != patients:
                continue
            if "why not" in row:
                failed.append(f"{row['system']} ({', '.join(filter(None, [row['limits'], row['why not']]))})")
            else:
                systems[_history_system(row)].append(row)
        fullest = max((found[0] for found in systems.values()), key=len)
        figures = [name for name in fullest if name not in NOT_FIGURES and isinstance(fullest[name], float)]
        cells = [
            [RULES.get(name, name), *(_mean(found, name) for found in systems.values())] for name in figures
        ]
        heads = [
            f"{name}, {len(found)} run{'s'[: len(found) > 1]}" if name != HALVES else name
            for name, found in systems.items()
        ]
        parts.append(f"### {patients:,} patients\n\n{table(['figure', *heads], cells)}")
        if failed:
            parts.append(f"\nNo figures: {'; '.join(failed)}.\n")
    return "\n".join(parts)


def _history_system(row: Row) -> str:
    """A system as its column is headed."""
    if row["system"] == HALVES:
        return HALVES
    if row.get("epsilon") is not None:
        return f"ours, epsilon {row['epsilon']:g}"
    return f"{row.get('version', row['system'])} (no privacy; {row['limits']})"


def _mean(rows: list[Row], name: str) -> str:
    """The mean of a figure over runs."""
    known = [row[name] for row in rows if row.get(name) is not None]
    return number(sum(known) / len(known), 1 if name == "seconds" else 4) if known else "-"


SECTIONS: tuple[tuple[str, str, str, Callable[[list[Row]], str]], ...] = (
    ("utility", "Utility at equal epsilon", "python -m benchmarks.utility --data FOLDER", utility),
    (
        "utility",
        "Beside other systems",
        "python -m benchmarks.utility --data FOLDER --domain --peers NAME=PYTHON",
        peers,
    ),
    ("coverage", "Intervals that hold the truth", "python -m benchmarks.coverage --data FOLDER", coverage),
    (
        "histories",
        "Patients with their visits",
        "python -m benchmarks.histories 20000 1 0 1 2",
        histories,
    ),
    ("answers", "Answers with intervals: time and files", "python -m benchmarks.answers", answers),
    (
        "strangers",
        "Tables that no rule was tuned to",
        "python -m benchmarks.strangers --part kept",
        strangers,
    ),
    (
        "interactions",
        "Values that depend on several columns only together",
        "python -m benchmarks.interactions --domain declared",
        interactions,
    ),
    (
        "ceilings",
        "What binds at a large epsilon",
        "python -m benchmarks.ceilings --data FOLDER",
        ceilings,
    ),
    ("structure", "Structure", "python -m benchmarks.structure --data FOLDER", structure),
    (
        "step_cost",
        "The cost of privacy",
        "python -m benchmarks.step_cost --opacus PYTHON --tf-privacy PYTHON",
        step_cost,
    ),
    ("speed", "Time to a result", "python -m benchmarks.speed --data FOLDER", plain),
    ("display", "The cost of the live display", "python -m benchmarks.display", plain),
    ("growth", "Growth", "python -m benchmarks.growth", growth),
    ("scale", "Tables in files", "python -m benchmarks.scale", scale),
    ("wide", "A wide table in files", "python -m benchmarks.scale --rows", scale),
    ("workers", "Two workers against one", "python -m benchmarks.workers", plain),
    ("package", "Start-up times and package size", "python -m benchmarks.package", plain),
)


def main() -> None:
    """Write the page."""
    parts = [HEAD]
    for name, title, command, render in SECTIONS:
        facts, rows = record.read(name)
        if rows:
            parts.append(f"## {title}\n\n{circumstances(facts, command)}\n{render(rows)}")
    DOCS.mkdir(exist_ok=True)
    (DOCS / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    print(DOCS / "benchmarks.md")


if __name__ == "__main__":
    main()
