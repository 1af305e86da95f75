"""`jupyter dpsynth share`: a copy of a notebook without what is for the owner's eyes only."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_dpsynth.cli.outputs import Reading, lines_of_owner, text_of
from jupyter_dpsynth.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    import argparse

__all__ = ["add_share", "shareable"]

WIDGET = "application/vnd.jupyter.widget-view+json"
OWN_LINE = "the ledger's line"
ATTACHED = "pictures that were pasted into it"
#: Other entries are of programs that we do not know: papermill keeps errors there, and a panel's state holds
#: what its check-up has found.
NOTEBOOK_METADATA = {"kernelspec", "language_info", "title", "authors"}
CELL_METADATA = {"tags", "jupyter", "collapsed", "scrolled", "editable", "slideshow", "name", "format"}
LONGEST = 60  # characters of a cell's code that are quoted in the list
HOW = (
    "Look at each of these cells. Give it the tag dpsynth-share if its output may be passed on (in "
    "JupyterLab: the gears at the top right), or dpsynth-private if not, and save the notebook. Or remove "
    "all of them with --drop-unsure."
)


def add_share(commands: Any) -> None:  # noqa: ANN401 - argparse names no type for it
    """Add the command."""
    parser = commands.add_parser(
        "share",
        help="write a copy of a notebook without what is for the owner's eyes only",
        description="Write a copy of a notebook, and a web page of it, in which outputs for the owner's eyes "
        "only are removed and said to be: the check-up, the ledger, comparisons with the original, displays "
        "of private tables. The code of the cells stays as it is. Where it is not sure whether an output "
        "shows private rows, nothing is written.",
        allow_abbrev=False,
    )
    parser.add_argument("notebook", type=Path, help="a notebook (.ipynb); it is not changed")
    parser.add_argument("-o", "--output", type=Path, help="the copy (default: NOTEBOOK-shared.ipynb)")
    parser.add_argument(
        "--drop-unsure", action="store_true", help="also remove the outputs of which it is not sure"
    )
    parser.add_argument("--no-html", action="store_true", help="write no web page")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.set_defaults(run=share)


def share(options: argparse.Namespace) -> int:
    """Write the copy and the page, and print what was removed.

    Raises:
        ArtifactError: A file cannot be read or written, or it is not sure of all outputs.
        ConfigError: A file is there already.
    """
    from jupyter_dpsynth.cli.demo import require, to_html

    require(("nbformat", *(() if options.no_html else ("nbconvert",))))
    import nbformat

    source: Path = options.notebook
    target: Path = options.output or source.with_name(f"{source.stem}-shared.ipynb")
    page = target.with_suffix(".html")
    for path in (target, *(() if options.no_html else (page,))):
        if path.exists() and not options.overwrite:
            raise ConfigError(f"{str(path)!r} exists already: give another name, or --overwrite.")
    try:
        notebook = nbformat.read(source, as_version=4)
    except OSError as error:
        raise ArtifactError(f"{str(source)!r} cannot be read: {error.strerror}.") from None
    except Exception:  # noqa: BLE001 - of several libraries, and may quote the file
        notebook = None
    if notebook is None:
        raise ArtifactError(f"{str(source)!r} is no notebook of Jupyter.")
    copied, removed, unsure = shareable(notebook, drop_unsure=options.drop_unsure)
    if unsure:
        listed = "\n".join(f"  {line}" for line in unsure)
        cells = f"{len(unsure)} cell{'s'[: len(unsure) > 1]}"
        raise ArtifactError(f"nothing is written, because it is not sure of {cells}:\n{listed}\n{HOW}")
    try:
        nbformat.write(copied, target)
        if not options.no_html:
            page.write_text(to_html(copied), encoding="utf-8")
    except OSError as error:
        raise ArtifactError(f"{str(target)!r} cannot be written: {error.strerror}.") from None
    lines = [
        f"Removed, {len(removed)}:" if removed else "Nothing had to be removed.",
        *(f"  {x}" for x in removed),
    ]
    files = str(target) if options.no_html else f"{target} and {page}"
    lines.append(
        f"Written: {files}. The code of the cells is as it was: read it once more before you share it."
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def shareable(
    notebook: Any,  # noqa: ANN401 - nbformat's type
    *,
    drop_unsure: bool = False,
) -> tuple[Any, list[str], list[str]]:
    """A copy of a notebook without outputs for the owner's eyes only.

    Args:
        notebook: The notebook, in format 4.
        drop_unsure: Whether to remove the outputs of which it is not sure, too.

    Returns:
        The copy; what was removed, in words; and the cells of which it is not sure.
    """
    copied, reading = copy.deepcopy(notebook), Reading()
    removed: list[str] = []
    unsure: list[str] = []
    _keep_only(copied.metadata, NOTEBOOK_METADATA)
    for number, cell in enumerate(copied.cells, start=1):
        _keep_only(cell.metadata, CELL_METADATA)
        if cell.cell_type != "code":
            if cell.get("attachments") and "dpsynth-share" not in cell.metadata.get("tags", []):
                where = f"cell {number} ({text_of(cell.source).strip()[:LONGEST]})"
                (removed if drop_unsure else unsure).append(f"{where}: {ATTACHED}")
                del cell["attachments"]
            continue
        verdict = reading.judge(cell)
        if not cell.outputs:
            continue
        first = next(iter(text_of(cell.source).strip().splitlines()), "")
        where = f"cell {number} ({first[:LONGEST]})"
        if verdict.kind == "unsure" and not drop_unsure:
            unsure.append(f"{where}: {verdict.why}")
        elif verdict.kind == "keep":
            removed += [f"{where}: {what}" for what in _clean(cell)]
        else:
            cell.outputs = [_note(f"[Removed before sharing: {verdict.why}.]")]
            removed.append(f"{where}: {verdict.why}")
    return copied, removed, unsure


def _keep_only(metadata: Any, names: set[str]) -> None:  # noqa: ANN401 - of nbformat
    for name in set(metadata) - names:
        del metadata[name]


def _clean(cell: Any) -> list[str]:  # noqa: ANN401 - nbformat's type
    """Take out of a cell's outputs what speaks to the owner, and widgets, which need a kernel."""
    found, left = False, []
    for output in cell.outputs:
        if "text" in output:
            output.text, had = lines_of_owner(text_of(output.text))
            found = found or had
            if not output.text.strip():
                continue
        data = output.get("data", {})
        if data.pop(WIDGET, None) is not None and not data:
            continue
        for kind in [kind for kind in data if kind in {"text/plain", "text/html"}]:
            data[kind], had = lines_of_owner(text_of(data[kind]), markup=kind == "text/html")
            found = found or had
        left.append(output)
    cell.outputs = left
    return [OWN_LINE] if found else []


def _note(text: str) -> Any:  # noqa: ANN401 - nbformat's type
    import nbformat

    return nbformat.v4.new_output("stream", name="stdout", text=text + "\n")
