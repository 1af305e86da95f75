"""A real IPython shell in this process, and a real kernel in another."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult

TABLE = """
import numpy as np, pandas as pd
_random = np.random.default_rng(0)
df = pd.DataFrame({
    "age": _random.integers(18, 90, 3000),
    "income": _random.lognormal(10, 1, 3000).round(2),
    "city": _random.choice(["Graz", "Linz", "Wien"], 3000, p=[0.2, 0.3, 0.5]),
})
"""
EXTENSION = "%load_ext jupyter_dpsynth\n%config DPSynthMagics.warm_tensorflow = False"
QUICK = "--steps 5 --batch-size 100000000"  # every row in each step: the accountant has a closed form
QUIET = "--log-level=40"  # the kernel warns that local messages are not encrypted
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Outcome:
    """What a cell left behind: its text, rich displays and error."""

    text: str
    displays: list[dict[str, Any]]
    error: str


class Shell:
    """An IPython shell; errors and displays are kept instead of printed."""

    def __init__(self) -> None:
        InteractiveShell.clear_instance()
        self.ip = InteractiveShell.instance()
        self.ip.history_manager.enabled = False

    @property
    def names(self) -> dict[str, Any]:
        """The user's variables."""
        return self.ip.user_ns  # type: ignore[no-any-return]

    def run(self, code: str) -> Outcome:
        """Run a cell as a user would."""
        with capture_output() as captured:
            result: ExecutionResult = self.ip.run_cell(code)
        raised = result.error_in_exec or result.error_before_exec
        error = ""
        if raised is not None:
            error = (
                "\n".join(raised._render_traceback_())
                if hasattr(raised, "_render_traceback_")
                else f"TRACEBACK {type(raised).__name__}: {raised}"
            )
        displays = [output.data for output in captured.outputs]
        return Outcome(captured.stdout + captured.stderr, displays, ANSI.sub("", error))


class ThisPython(KernelSpecManager):
    """Knows one kernel: the Python that runs the tests."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", QUIET]
        return KernelSpec(argv=command, display_name=kernel_name, language="python")


@dataclass
class Cell:
    """A cell that is running or has run in a kernel."""

    request: str
    text: str = ""
    displays: dict[str, dict[str, Any]] = field(default_factory=dict)
    updates: list[str] = field(default_factory=list)
    error: str = ""
    ended: bool = False

    def take(self, kind: str, content: dict[str, Any]) -> None:
        """Apply one message."""
        if kind == "stream":
            self.text += content["text"]
        elif kind in {"display_data", "update_display_data", "execute_result"}:
            key = content.get("transient", {}).get("display_id", str(len(self.displays)))
            self.displays[key] = content["data"]
            if kind == "update_display_data":
                self.updates.append(content["data"].get("text/plain", ""))
        elif kind == "error":
            self.error = ANSI.sub("", "\n".join(content["traceback"]))
        elif kind == "status":
            self.ended = content["execution_state"] == "idle"

    @property
    def shown(self) -> str:
        """The text of all displays as they are now."""
        return "\n".join(bundle.get("text/plain", "") for bundle in self.displays.values())


class Kernel:
    """A kernel of its own, talked to like a front end does."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="dpsynth-test", kernel_spec_manager=ThisPython())
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def start(self, code: str) -> Cell:
        """Run a cell without waiting; like nbclient, nobody is there to be asked."""
        return Cell(self.client.execute(code, allow_stdin=False))

    def follow(self, cell: Cell, until: str = "", seconds: float = 120) -> Cell:
        """Take a cell's messages until it has ended, or until its displays match a pattern."""
        end = time.monotonic() + seconds
        while not cell.ended and not (until and re.search(until, cell.shown)):
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds:g} s for {until or 'the end'}: {cell.shown}")
            if not self.client.iopub_channel.msg_ready():
                time.sleep(0.02)
                continue
            message = self.client.get_iopub_msg(timeout=1)
            if message["parent_header"].get("msg_id") == cell.request:
                cell.take(message["msg_type"], message["content"])
        return cell

    def run(self, code: str) -> Cell:
        """Run a cell to its end."""
        return self.follow(self.start(code))

    def value(self, expression: str) -> Any:
        """A literal out of the kernel."""
        import ast

        return ast.literal_eval(self.run(f"print(repr(({expression})))").text.strip())

    def close(self) -> None:
        """End the kernel."""
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
