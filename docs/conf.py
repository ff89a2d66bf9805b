"""Sphinx settings: MyST pages, the PyData theme, and a reference generated from the package's list of public names."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sogni.settings import VERSION  # noqa: E402

project = "sogni"
author = "The sogni authors"
project_copyright = author
release = VERSION
version = release

extensions = [
    "myst_parser", "sphinx_copybutton", "sphinx_design",
    "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode",
]  # fmt: skip
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "sogni"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# The list of versions is a file of the site, so that one build can be served from any host.
html_theme_options = {
    "switcher": {"json_url": "_static/versions.json", "version_match": release},
    "check_switcher": False,
    "navbar_start": ["navbar-logo", "version-switcher"],
    "navbar_align": "left",
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_exclude = ".linenos, .gp, .go"

# In docstrings, as in Markdown, single backticks are code.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# As fields, not as targets of links: many classes have an attribute `type`.
napoleon_use_ivar = True

myst_heading_anchors = 3

REFERENCE_MARK = "<!-- the public names are inserted here -->"
KINDS = ("Clients and their objects", "Functions", "Errors and warnings", "Parameters and data", "Constants")


def kind_of(value: object) -> str:
    """The section a public name belongs to."""
    if inspect.isclass(value):
        if issubclass(value, BaseException):
            return KINDS[2]
        in_front_end = value.__module__.startswith(("sogni.client", "sogni.api"))
        return KINDS[0] if in_front_end else KINDS[3]
    return KINDS[1] if inspect.isfunction(value) else KINDS[4]


def directive_of(name: str, value: object) -> str:
    """The autodoc directive for one public name."""
    if inspect.isclass(value):
        return f".. autoclass:: sogni.{name}\n   :members:\n   :show-inheritance:\n"
    if inspect.isfunction(value):
        return f".. autofunction:: sogni.{name}\n"
    return f"``sogni.{name}``\n"


def reference() -> str:
    """The reference of every name that `sogni` exports and that can be imported."""
    try:
        package = importlib.import_module("sogni")
        names = list(package.__all__)
    except (ImportError, AttributeError) as error:
        return f"The package cannot be imported here: `{error}`.\n"
    sections: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in names:
        try:
            value = getattr(package, name)
        except (ImportError, AttributeError):  # not built yet, or needs an extra that is not installed
            continue
        sections[kind_of(value)].append(directive_of(name, value))
    return "\n".join(
        f"## {kind}\n\n```{{eval-rst}}\n" + "\n".join(entries) + "```\n"
        for kind, entries in sections.items()
        if entries
    )


def insert_reference(_app, docname: str, source: list[str]) -> None:
    if docname == "reference":
        source[0] = source[0].replace(REFERENCE_MARK, reference())


def convert_fences(_app, _what, _name, _obj, _options, lines: list[str]) -> None:
    """Turn the Markdown code fences of docstrings, which editors display, into reStructuredText."""
    converted: list[str] = []
    indent = None
    for line in lines:
        text = line.strip()
        if indent is None and text == "```python":
            indent = line[: len(line) - len(line.lstrip())]
            converted += [f"{indent}.. code-block:: python", ""]
        elif indent is not None and text == "```":
            indent = None
            converted.append("")
        else:
            converted.append(line if indent is None or not text else f"    {line}")
    lines[:] = converted


def setup(app) -> None:
    app.connect("source-read", insert_reference)
    # Before Napoleon, which takes the lines of a fence for those of a section.
    app.connect("autodoc-process-docstring", convert_fences, priority=100)
