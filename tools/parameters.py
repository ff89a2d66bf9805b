"""Generate what follows from the declarations of project parameters in `sogni/models/params.py`.

    python tools/parameters.py           # write the files
    python tools/parameters.py --check   # exit with status 1 if one of them is out of date

`sogni/models/project_fields.py` has the parameters as keyword arguments for type checkers and editors, and
`docs/reference/parameters.md` describes each.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs
from unasync import ROOT, formatted, show_difference

sys.path.insert(0, str(ROOT))

from sogni.models import params
from sogni.models.params import Parameter

KINDS: dict[str, type[Any]] = {
    "Image": params.ImageProjectParams,
    "Video": params.VideoProjectParams,
    "Audio": params.AudioProjectParams,
}
FIELDS = ROOT / "sogni" / "models" / "project_fields.py"
PAGE = ROOT / "docs" / "reference" / "parameters.md"

MODULE = '''# Generated from sogni/models/params.py by tools/parameters.py. Do not edit.
"""The parameters of projects as keyword arguments of `projects.create` and `projects.estimate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from sogni.models.base import BillingMode
from sogni.models.params import (
    {names}
)
from sogni.settings import Attribution, Network, TokenType
'''

INTRODUCTION = """# Parameters of projects

`client.projects.create(type="image", …)` and `client.projects.estimate(type="image", …)` take these as keyword
arguments, or as fields of [an object](parameter-classes.md): `ImageProjectParams`, `VideoProjectParams` or
`AudioProjectParams`. Only `type` and `model_id` are required.

```python
from sogni import SogniClient

with SogniClient() as client:
    client.projects.create(
        type="image", model_id="krea2_turbo_fp8_scaled", positive_prompt="a lighthouse", steps=8, max_cost=1
    ).wait(timeout=60)
```

Values are checked before anything is uploaded or sent.

- *The options of the model* are what `client.projects.get_model_options(model_id)` returns.
- *Models* are named by family (`ltx`), by family and workflow (`minimax-h3 r2v`), or by ID. If none are named, all of
  them take the parameter.
- *Media* is a path, `bytes`, an open binary file, a PIL image or a finished `Job`.

## The call

Arguments of `create` itself. They are not part of a params object.

### `type`

What to generate. It decides which parameters exist.

- `"image"`, `"video"`, `"audio"`; required

### `max_cost`

Refuse to send if the estimate exceeds this amount, in the token that pays.

- number, `Decimal` or string; default: no limit

### `idempotency_key`

A name of your own for the project, so that a repeated call pays once.

- string of 1 to 255 characters; default: each call creates a project
"""


def main() -> int:
    """Write or check the files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only, and show what is out of date")
    check = parser.parse_args().check
    status = 0
    for target, text in ((FIELDS, module()), (PAGE, page())):
        if target.exists() and target.read_text() == text:
            continue
        if check:
            show_difference(target, text)
            status = 1
        else:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
            print(f"wrote {target.relative_to(ROOT)}")
    return status


def declared(kind: type[Any]) -> Iterator[tuple[Any, Parameter]]:
    """The fields of a class that are parameters."""
    for it in attrs.fields(kind):
        if "parameter" in it.metadata:
            yield it, it.metadata["parameter"]


def module() -> str:
    """The text of `project_fields.py`."""
    types = " ".join(str(it.type) for kind in KINDS.values() for it, _ in declared(kind))
    names = sorted(name for name in vars(params) if name in types and getattr(params, name) is not None)
    own = [name for name in names if home(name)]
    classes = [typed_dict(name, kind) for name, kind in KINDS.items()]
    return formatted("\n\n".join([MODULE.format(names=", ".join(own)), *classes]), FIELDS)


def home(name: str) -> bool:
    """Whether a name belongs to `sogni.models.params` itself."""
    value = getattr(params, name)
    imported = name in ("Any", "Literal", "Mapping", "Sequence", "BillingMode", "TokenType", "Attribution", "Network")
    return not imported and (isinstance(value, type) or get_origin(value) is not None)


def typed_dict(name: str, kind: type[Any]) -> str:
    """A `TypedDict` with the parameters of one kind of project, each with its description."""
    lines = [
        f"class {name}ProjectFields(TypedDict, total=False):",
        f'    """The fields of `{kind.__name__}` as keyword arguments."""',
        "",
        f'    type: Required[Literal["{name.lower()}"]]',
    ]
    for it, parameter in declared(kind):
        required = it.default is attrs.NOTHING
        lines += [f"    {it.name}: {f'Required[{it.type}]' if required else it.type}", docstring(parameter)]
    return "\n".join(lines) + "\n"


def docstring(parameter: Parameter) -> str:
    """The description of a parameter below its field."""
    text = parameter.description
    if text.endswith('"') or '"""' in text or "\\" in text:
        raise ValueError(f"a description cannot be written as a docstring: {text}")
    quote = "'''" if text.startswith('"') else '"""'
    return textwrap.fill(f"{quote}{text}{quote}", 116, initial_indent="    ", subsequent_indent="    ")


def page() -> str:
    """The text of `parameters.md`."""
    common = {it.name for it, _ in declared(params.CommonParams)}
    sections = [section("All projects", "Parameters of images, video and audio.", params.CommonParams, set())]
    for name, kind in KINDS.items():
        sections.append(section(f"{name} projects", f'Further parameters with `type="{name.lower()}"`.', kind, common))
    return "\n".join([INTRODUCTION, *sections])


def section(title: str, text: str, kind: type[Any], known: set[str]) -> str:
    """The entries of one kind of project: a heading for each parameter, so that links and the search find it."""
    hints = get_type_hints(kind)
    parts = [f"## {title}\n\n{text}\n"]
    for it, parameter in declared(kind):
        if it.name in known:
            continue
        default = "required" if it.default is attrs.NOTHING else f"default: {parameter.default or usual(it.default)}"
        lines = ["; ".join(part for part in (words(hints[it.name]), parameter.limits, default) if part)]
        if parameter.needs:
            lines.append(f"needs {' or '.join(f'`{name}`' for name in parameter.needs)}")
        if parameter.models:
            lines.append(f"only for {', '.join(f'`{name}`' for name in parameter.models)}")
        parts.append("\n".join([f"### `{it.name}`\n", f"{parameter.text}\n", *(f"- {line}" for line in lines)]) + "\n")
    return "\n".join(parts)


def usual(default: Any) -> str:
    """The default of a field in words."""
    return "none" if default in (None, "") else str(default)


WORDS = {str: "string", int: "integer", float: "number", bool: "True or False"}


def words(hint: Any) -> str:
    """The type of a parameter in words."""
    if params.MediaInput in (hint, hint | None) or hint == params.MediaInput | None:
        return "media"
    members = [hint] if get_origin(hint) is Literal else [it for it in get_args(hint) if it is not type(None)]
    return " or ".join(dict.fromkeys(one_type(it) for it in members or [hint]))


def one_type(part: Any) -> str:
    """One member of a union in words."""
    if get_origin(part) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(part))
    origin = get_origin(part)
    if origin is not None and origin.__name__ == "Sequence":
        (item,) = get_args(part)
        return f"list of {'media' if item == params.MediaInput else plural(words(item))}"
    if origin is not None and origin.__name__ == "Mapping":
        return "a mapping"
    return WORDS.get(part) or f"`{part.__name__}`"


def plural(text: str) -> str:
    """The plural of a type in words."""
    return f"{text}s" if text in ("string", "number", "integer") else text


if __name__ == "__main__":
    sys.exit(main())
