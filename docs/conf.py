"""Sphinx settings: MyST pages, the PyData theme, and a reference that `expand.py` generates from the code."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from sphinx.domains.python import PyObject
from sphinx.pycode import ModuleAnalyzer

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import expand  # noqa: E402

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
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# After the theme's own settings in the page, and before its script.
html_js_files = [("versions.js", {"priority": 900})]
# The list of versions is a file of the site, so that one build can be served from any host.
html_theme_options = {
    "switcher": {"json_url": "_static/versions.json", "version_match": release},
    "check_switcher": False,
    "navbar_start": ["navbar-logo", "version-switcher"],
    "navbar_align": "left",
    "show_prev_next": True,
    # Pages below these would need buttons in the sidebar, which the theme gives no name.
    "navigation_depth": 1,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
# Copy the commands and statements, without prompts and without what they print.
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# In docstrings, as in Markdown, single backticks are code.
default_role = "code"
# Several classes have an attribute with the name of a builtin, such as `type`.
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
# "wait()" rather than "Project.wait()": the page and the entry above name the class.
toc_object_entries_show_parents = "hide"
autodoc_typehints = "signature"
# Long signatures have a line for each parameter.
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
# As fields, not as targets of links: many classes have an attribute `type`.
napoleon_use_ivar = True

myst_heading_anchors = 3

expand.configure_django()


def expand_fences(_app, _docname: str, source: list[str]) -> None:
    """Put what the code says into pages of the reference."""
    source[0] = expand.for_sphinx(source[0])


def shorten_signature(_app, what: str, _name: str, obj: Any, _options, signature: str, returned: str) -> Any:
    """Show no constructor for objects that only the package makes, and `**fields` as it is written."""
    if what == "class" and (expand.is_service_data(obj) or expand.is_made_by_client(obj)):
        return "", None
    if expand.takes_fields(obj):
        written, _, result = expand.signature_of(obj).rpartition(" -> ")
        return written, result
    return signature, returned


def forget_overloads(self: ModuleAnalyzer) -> None:
    """Analyze a module without overloads: one signature tells readers more than four that differ in `**fields`."""
    _ANALYZE(self)
    self.overloads.clear()


_ANALYZE = ModuleAnalyzer.analyze
ModuleAnalyzer.analyze = forget_overloads
for _field in PyObject.doc_field_types:
    if _field.name == "variable":
        _field.label = "Attributes"


_ENTRY = re.compile(r"^( +)(\*{0,2}\w+)( \(.*?\))?:(?= )")


def describe_types(_app, what: str, name: str, obj: Any, _options, lines: list[str]) -> None:
    """Add the types of fields, how a method is used in asyncio, and leave fields of projects to their own page."""
    types = expand.types_of_attributes(obj) if what == "class" else {}
    cut = False
    for number, line in enumerate(lines):
        entry = _ENTRY.match(line)
        if entry and entry[2] in types and not entry[3]:
            lines[number] = line.replace(f"{entry[2]}:", f"{entry[2]} ({types[entry[2]]}):", 1)
        if entry and entry[2] == "**fields":
            cut = True
        elif cut and (not line.strip() or line.strip() in ("Returns:", "Raises:")):
            cut = False
        elif cut and entry:
            lines[number] = None  # type: ignore[call-overload]
    lines[:] = [it for it in lines if it is not None]
    if what in ("method", "property") and (use := expand.asyncio_use(name)):
        lines += ["", f":asyncio: ``{use}``", ""]


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


def hide_from_search(app, _doctree) -> None:
    """Leave the notes on the protocol out of the search: they would come before the parameters that they mention."""
    if app.env.docname.startswith("protocol/"):
        app.env.metadata[app.env.docname]["nosearch"] = True


def mend_source_links(app, pagename: str, _template: str, context: dict[str, Any], _doctree) -> None:
    """Link source code to its description: viewcode takes all names of a module for those of one package."""
    if not pagename.startswith("_modules/"):
        return
    module = pagename.removeprefix("_modules/").replace("/", ".")
    described = app.env.domains["py"].objects

    def mended(found: re.Match[str]) -> str:
        parts = found[0].split(".")
        candidates = [found[0], *(f"{module}.{'.'.join(parts[-number:])}" for number in (1, 2, 3))]
        return next((it for it in candidates if it in described), found[0])

    context["body"] = re.sub(r'(?<=#)sogni[\w.]+(?=">)', mended, context["body"])


_LONG_SIGNATURE = re.compile(r"<dl>\n((?:<dd><em .*</dd>\n)+)</dl>")


def mend_long_signatures(_app, _pagename: str, _template: str, context: dict[str, Any], _doctree) -> None:
    """Make the parameters of a long signature a list: Sphinx writes definitions without terms, which is invalid."""

    def listed(found: re.Match[str]) -> str:
        items = found[1].replace("<dd>", "<li>").replace("</dd>", "</li>")
        return f'<ul class="sig-params">\n{items}</ul>'

    if "body" in context:
        context["body"] = _LONG_SIGNATURE.sub(listed, context["body"])


def setup(app) -> dict[str, bool]:
    app.connect("source-read", expand_fences)
    app.connect("doctree-read", hide_from_search)
    app.connect("html-page-context", mend_source_links)
    app.connect("html-page-context", mend_long_signatures)
    app.connect("autodoc-process-signature", shorten_signature)
    # Before Napoleon, which reads the sections, and takes the lines of a fence for those of a section.
    app.connect("autodoc-process-docstring", describe_types, priority=90)
    app.connect("autodoc-process-docstring", convert_fences, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
