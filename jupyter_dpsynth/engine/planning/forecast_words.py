"""A forecast in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_dpsynth.display.words import compact, duration, epsilon_text
from jupyter_dpsynth.engine.planning.forecast import ASSUMED_CATEGORIES, round_up
from jupyter_dpsynth.privacy.receipt import budget_shares

if TYPE_CHECKING:
    from jupyter_dpsynth.engine.model.plan import RunPlan
    from jupyter_dpsynth.engine.planning.forecast import Forecast

__all__ = ["error_words", "facts", "forecast_text", "headline", "spending", "time_words"]

SHORT = {  # of the accountant's items, in the words of a newcomer
    "row count": "counting the rows",
    "events after which another comes": "finding what ends a history",
    "decimals and time resolutions": "resolution of numbers and times",
    "value histograms": "finding each column's values",
    "second look at unlisted names": "measuring rare values a second time",
    "which dates are close": "finding dates that are close to each other",
    "times between columns": "measuring the time between dates",
    "one-way marginals": "measuring each column",
    "pair dependence": "measuring pairs of columns",
    "named tables": "measuring the tables and analyses that are named",
    "orderings of columns": "finding columns in an order",
    "choice of interactions": "finding columns that belong together",
    "strength of interactions": "measuring how strongly they do",
    "training": "training",
}


def headline(forecast: Forecast) -> str:
    """How epsilon grows over the steps, in a sentence."""
    plan = forecast.plan
    if plan.privacy is None or forecast.curve is None:
        return f"{plan.steps:,} steps without noise: epsilon is infinite, there is NO privacy guarantee."
    noise = f"With noise {plan.noise_multiplier:.3g}"
    verb = "=" if forecast.accountant == "pld" else "is at most"
    reached = f"epsilon {verb} {epsilon_text(plan.epsilon)} after {plan.steps:,} steps"
    if forecast.ends_early:
        return (
            f"{noise}, {reached}: the budget is used up there, at step {plan.steps:,} of the "
            f"{forecast.wanted_steps:,} requested."
            if forecast.wanted_steps > plan.steps
            else f"{noise}, {reached}: the budget is used up there."
        )
    if forecast.lasts > plan.steps:
        return f"{noise}, {reached}: the budget would last for about {forecast.lasts:,} steps."
    return f"{noise}, {reached}: the budget is used up with the last step."


def facts(forecast: Forecast) -> list[tuple[str, str]]:
    """Name and value of each figure of a plan."""
    plan = forecast.plan
    counted = forecast.counted
    one = counted.removesuffix("s")
    found = [(f"assumed {counted}", f"about {forecast.rows:,.0f}")]
    if plan.unit_rows > 1 and counted == "rows":
        found.append(("rows of a person", f"1 to {plan.unit_rows}, each number as often{_counting_as(plan)}"))
    if plan.privacy is not None:
        bound = "" if forecast.accountant == "pld" else " (upper bound)"
        found += [
            ("epsilon", f"{epsilon_text(plan.epsilon)}{bound}"),
            ("delta", f"{plan.delta:.3g}, the chance that the promise of epsilon fails"),
            ("noise", f"{plan.noise_multiplier:.3g} times what one {one} may change (noise multiplier)"),
        ]
    found += [
        ("steps", f"{plan.steps:,}"),
        ("batch", f"about {compact(plan.batch_size)} {counted}, {_passes(forecast)}"),
        ("model", f"tells about {forecast.width:,} values or ranges apart{_at_most(forecast)}"),
        ("error of a typical column", error_words(forecast)),
        *rare_facts(forecast),
        ("time", time_words(forecast)),
        ("memory", f"about {forecast.megabytes / 1000:.1f} GB in addition to your tables"),
    ]
    if forecast.disk_megabytes:
        found.append(
            ("temporary files", f"about {forecast.disk_megabytes / 1000:.1g} GB, removed at the end")
        )
    return found


def _counting_as(plan: RunPlan) -> str:
    """As how many rows a person counts at most before training, where it has more."""
    if plan.cap >= plan.unit_rows:
        return ""
    return f"; where they are counted, more than {plan.cap:g} of a person count as {plan.cap:g}"


def _at_most(forecast: Forecast) -> str:
    """The largest possible number of cells if categories are not declared."""
    if forecast.most_width < 1.5 * forecast.width:
        return ""
    return f"; up to {forecast.most_width:,}, and slower, if text columns have many values"


def _passes(forecast: Forecast) -> str:
    """How often training is expected to use each row."""
    passes = forecast.plan.steps * forecast.plan.sampling_probability
    times = f"{passes:.2g}" if passes < 100 else f"{passes:,.0f}"
    return f"each {forecast.counted.removesuffix('s')} about {times} times"


def error_words(forecast: Forecast) -> str:
    """The expected error of one column."""
    if forecast.plan.privacy is None:
        return "no noise"
    percent = 100 * forecast.column_error
    if percent >= 50:
        return "mostly noise"
    words = f"about {percent:.2g} % of its values are misplaced by the noise"
    if forecast.rare_below is None:
        return words
    return f"{words}, if its values are few and frequent (text: {ASSUMED_CATEGORIES} of them)"


def rare_facts(forecast: Forecast) -> list[tuple[str, str]]:
    """What becomes of rare values of columns whose values are not declared, as names and texts."""
    if forecast.rare_below is None:
        return []
    columns = f"{forecast.open_columns} column{'s'[: forecast.open_columns > 1]}"
    rows = round_up(forecast.rare_below)
    words = (
        f"in {columns} without declared values, what fewer than about {rows:,.0f} rows have comes out as "
        "'other'; a column of nothing else comes out empty. Declaring values helps, and is free"
    )
    return [("rare values", words)]


def time_words(forecast: Forecast) -> str:
    """How long a run takes here."""
    if forecast.seconds is None:
        return "not predicted for this backend: it is much slower than 'native'"
    words = f"about {duration(max(forecast.seconds, 1.0))}"
    if forecast.starting_seconds:
        words += f", and about {duration(forecast.starting_seconds)} to start TensorFlow once"
    return words


def spending(forecast: Forecast) -> list[tuple[str, float]]:
    """What epsilon is spent on, with the share of each part."""
    if forecast.plan.privacy is None:
        return []
    return [(_short(name), share) for name, _, share in budget_shares(forecast.plan.privacy)]


def _short(name: str) -> str:
    """A measurement in the words of a newcomer; of one of several tables with the table's name."""
    measurement, of, table = name.partition(" of '")
    return f"{SHORT.get(measurement, measurement)} of '{table}" if of else SHORT.get(name, name)


def forecast_text(forecast: Forecast, title: str) -> str:
    """The whole forecast for a terminal."""
    wide = max(len(name) for name, _ in facts(forecast))
    lines = [title, "", headline(forecast), ""]
    lines += [f"  {name:{wide}}  {words}" for name, words in facts(forecast)]
    items = spending(forecast)
    if items:
        lines += ["", "What epsilon is spent on:"]
        lines += [f"  {share:5.1%}  {name}" for name, share in items]
    lines += [f"⚠ {warning}" for warning in forecast.warnings]
    return "\n".join(lines)
