"""How the documentation is built: `python -m sphinx -W -b html docs build/docs`.

Nothing is fetched while building, and the pages fetch nothing from elsewhere: fonts are the reader's own.
"""

import re
import shutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from generated_pages import write_pages  # noqa: E402 - found beside this file
from sphinx.application import Sphinx  # noqa: E402

import jupyter_dpsynth  # noqa: E402 - this checkout, not an installed one

project = "jupyter_dpsynth"
author = "The jupyter_dpsynth developers"
copyright = author  # noqa: A001 - Sphinx's own name
version = release = jupyter_dpsynth.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["README.md"]
nitpicky = False

html_theme = "furo"
html_title = "jupyter_dpsynth"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style, pygments_dark_style = "friendly", "github-dark"
copybutton_exclude = ".linenos, .gp, .go"

myst_enable_extensions = ["colon_fence", "deflist", "attrs_block"]
myst_heading_anchors = 4

nb_execution_mode = "off"  # notebooks are kept with their outputs, see tools/execute_notebooks.py
nb_ipywidgets_js = {}  # would come from another host; the notebooks' plain outputs are shown instead
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_default_options = {"members": True}
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [("Privacy", "notes_style"), ("Source", "notes_style")]
default_role = "literal"  # in docstrings, one backtick is code


# a table with a class, as written in these pages: not the tables in the notebooks' outputs
TABLE = re.compile(r'<table class="docutils.*?</table>', re.DOTALL)
CODE = re.compile(r'(?<=<span class="pre">)[^<]+')
PICTURE = re.compile(r"\[([^][\n]+)\]\(\.\./docs/images/")
AFTER = re.compile(r"[_.(/=,](?=\w)")


def copy_notebooks() -> None:
    """Put the notebooks where Sphinx looks for pages; what they link to as a picture is shown there."""
    target = HERE / "tutorials" / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        (target / path.name).write_text(PICTURE.sub(r"![\1](../../images/", text), encoding="utf-8")


def keep_colons(
    _app: object, what: str, _name: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Keep napoleon from taking what stands before a colon in a property's first line for its type."""
    if lines and what in {"property", "attribute"}:
        lines[0] = f": {lines[0]}"  # an empty type


def let_names_break(
    _app: object, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Let long names in tables break after an underscore, a dot or a bracket, and nowhere else."""

    def in_code(code: re.Match[str]) -> str:
        return AFTER.sub(r"\g<0><wbr>", code[0])

    if "body" in context:
        context["body"] = TABLE.sub(lambda table: CODE.sub(in_code, table[0]), context["body"])


def setup(app: Sphinx) -> None:
    """Connect what is done to docstrings, before napoleon reads them, and to finished pages."""
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("html-page-context", let_names_break)


copy_notebooks()
write_pages(HERE / "reference" / "generated")
