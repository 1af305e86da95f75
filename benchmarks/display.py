"""What the live display of a training costs: kernel time of a redraw, and training time with and without it.

    python -m benchmarks.display

All of it happens in a real kernel. A redraw is timed with a full loss curve (200 points) while the training
goes on, as the kernel's main thread does it: reading the run, drawing, sending the new string to the front
end. Trainings are of the packaged census sample; those with and those without the display take turns, and
each is followed the way `%%dpsynth learn` does it.
"""

from __future__ import annotations

import ast
import json
import os
import statistics
import time
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks import record

if TYPE_CHECKING:
    import pandas as pd

    from jupyter_dpsynth.notebook.output import FrontEnd
    from jupyter_dpsynth.notebook.show.worker import TrainingRun

REDRAWS = 400
PAIRS = 10
STEPS = 2000
POLL_SECONDS = 0.05  # as the learn cell


def new_run(df: pd.DataFrame, steps: int) -> TrainingRun:
    """A training that has not begun."""
    from jupyter_dpsynth import HighDimConfig, HighDimSynthesizer, MetaExtractor
    from jupyter_dpsynth.notebook.show.worker import TrainingRun
    from jupyter_dpsynth.sources.base import FrameSource

    config = HighDimConfig(epsilon=1.0, steps=steps)
    return TrainingRun(HighDimSynthesizer(MetaExtractor.extract(df), config), FrameSource(df), "s")


def training_seconds(df: pd.DataFrame, *, display: bool) -> float:
    """Time of a training from its start to its model, followed by the display or by nobody."""
    from jupyter_dpsynth.notebook.show.progress import TrainingProgress

    run = new_run(df, STEPS)
    progress = TrainingProgress(run, "widget")
    if display:
        progress.open()
    run.start()
    while not run.wait(POLL_SECONDS):
        if display:
            progress.update()
    if run.error is not None:
        raise run.error
    return run.seconds


def redraw_milliseconds(run: TrainingRun, front_end: FrontEnd) -> tuple[list[float], list[float]]:
    """Times of single redraws of a training that is under way: the thread's own, and by the clock.

    By the clock there is waiting for the training's thread and for other programs.
    """
    from jupyter_dpsynth.notebook.show import progress as module

    progress = module.TrainingProgress(run, front_end)
    progress.open()
    used, passed = [], []
    with mock.patch.dict(module.REDRAW_SECONDS, {front_end: 0.0}):  # redraw whenever it is asked to
        for _ in range(REDRAWS):
            run.wait(0.01)
            own, clock = time.thread_time(), time.perf_counter()
            progress.update()
            used.append(1e3 * (time.thread_time() - own))
            passed.append(1e3 * (time.perf_counter() - clock))
    return used, passed


def redraws(df: pd.DataFrame) -> list[dict[str, Any]]:
    """Kernel time of a redraw beside a training that keeps the other processor busy."""
    rows = []
    for front_end in ("widget", "text", "terminal"):
        run = new_run(df, 100_000)
        run.start()
        while len(run.curve) < 1000 and run.running:
            run.wait(POLL_SECONDS)
        try:
            used, passed = redraw_milliseconds(run, front_end)
        finally:
            run.stop()
            run.wait(60)
        rows += [
            {"what": f"redraw, {front_end}: {what}", "value": value, "unit": "ms"}
            for what, value in (
                ("kernel time, median", statistics.median(used)),
                ("kernel time, largest", max(used)),
                ("by the clock, median", statistics.median(passed)),
                ("by the clock, largest", max(passed)),
            )
        ]
    return rows


def slowdown(df: pd.DataFrame) -> list[dict[str, Any]]:
    """Training time with the display relative to without, from runs that take turns."""
    training_seconds(df, display=True)  # what is compiled and loaded once
    ratios, plain = [], []
    for pair in range(PAIRS):
        order = (False, True) if pair % 2 else (True, False)
        seconds = {display: training_seconds(df, display=display) for display in order}
        ratios.append(seconds[True] / seconds[False])
        plain.append(seconds[False])
    return [
        {"what": "training without the display, median", "value": statistics.median(plain), "unit": "s"},
        {
            "what": "with display / without, median of pairs",
            "value": statistics.median(ratios),
            "unit": "ratio",
        },
        {"what": "with display / without, smallest", "value": min(ratios), "unit": "ratio"},
        {"what": "with display / without, largest", "value": max(ratios), "unit": "ratio"},
    ]


def measure() -> list[dict[str, Any]]:
    """All figures, of the process this runs in."""
    from jupyter_dpsynth.datasets import load_census_sample

    df = load_census_sample()
    rows = [*slowdown(df), *redraws(df)]
    return [{**row, "value": round(row["value"], 3)} for row in rows]


def in_kernel() -> list[dict[str, Any]]:
    """All figures, of a kernel: outside of one the widgets send nothing."""
    from jupyter_client.manager import start_new_kernel

    os.environ["JUPYTER_DATA_DIR"] = str(record.scratch_ledger().path.parent)
    manager, client = start_new_kernel()
    code = "import json\nfrom benchmarks.display import measure\nrows = json.dumps(measure())"
    try:
        reply = client.execute_interactive(
            code, allow_stdin=False, user_expressions={"rows": "rows"}, output_hook=lambda _: None
        )["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise RuntimeError(f"the kernel failed: {reply['evalue']}")
    found: list[dict[str, Any]] = json.loads(
        ast.literal_eval(reply["user_expressions"]["rows"]["data"]["text/plain"])
    )
    return found


def main() -> None:
    """Measure and print."""
    record.parser(__doc__).parse_args()
    rows = in_kernel()
    for row in rows:
        print(f"{row['what']:45s} {row['value']:>10,} {row['unit']}")
    record.write("display", rows)


if __name__ == "__main__":
    main()
