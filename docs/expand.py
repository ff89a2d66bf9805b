"""Expand what pages of the reference leave to the code: the fences `{api}` and `{generated}`.

A fence `{api}` lists public names, one per line. Sphinx gets directives for autodoc in its place, `llms-full.txt` gets
signatures and descriptions as Markdown. A fence `{generated}` names a function in `tables.py`, which returns Markdown
for both.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import docstring_parser

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs"), str(ROOT / "tools")]

from public_api import members_of as members_with_attributes  # noqa: E402
from tables import GENERATED  # noqa: E402

FENCE = re.compile(r"^```\{(api|generated)\}[ ]?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# -- names ----------------------------------------------------------------------


def names_in(page: str) -> list[str]:
    """The names that the fences `{api}` of a page list."""
    return [name for kind, _, body in FENCE.findall(page) if kind == "api" for name in body.split()]


@cache
def _namespaces() -> dict[str, str]:
    """The modules of the front end, by the names of classes that `sogni` does not export."""
    package = importlib.import_module("sogni.api")
    modules = [importlib.import_module(f"sogni.api.{it.name}") for it in pkgutil.iter_modules(package.__path__)]
    return {
        name: module.__name__
        for module in modules
        for name, value in vars(module).items()
        if inspect.isclass(value) and value.__module__ == module.__name__
    }


def path_of(name: str) -> str:
    """The full path of a name in a fence: short names are those of `sogni` or of its front end."""
    if "." in name:
        return name
    package = importlib.import_module("sogni")
    return f"sogni.{name}" if name in package.__all__ else f"{_namespaces()[name]}.{name}"


def resolve(path: str) -> Any:
    """The object at a full path."""
    module, _, rest = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), rest)
    except ModuleNotFoundError:
        return getattr(resolve(module), rest)


def asyncio_counterpart(path: str) -> Any:
    """The object of `sogni_async` that stands for one of `sogni`; None if both are the same, or if there is none."""
    other = re.sub(r"^sogni\b", "sogni_async", path)
    try:
        found, own = resolve(other), resolve(path)
    except (ImportError, AttributeError, ValueError):
        return None
    return None if found is own else found


def asyncio_use(path: str) -> str:
    """How the counterpart of a function in `sogni_async` is used; "" if that is the same as in `sogni`."""
    found = asyncio_counterpart(path)
    function = inspect.unwrap(found) if callable(found) else getattr(found, "fget", None)
    if function is None:
        return ""
    returned = str(getattr(function, "__annotations__", {}).get("return", ""))
    if inspect.iscoroutinefunction(function):
        return "await"
    if "AsyncIterator" in returned or "AsyncGenerator" in returned:
        return "async for"
    return "async with" if "AsyncContextManager" in returned else ""


# -- values ---------------------------------------------------------------------


def is_service_data(value: Any) -> bool:
    """Whether a class is data that only the package makes, so that its constructor is of no interest."""
    from sogni.models.base import Model

    return inspect.isclass(value) and issubclass(value, Model)


def is_made_by_client(value: Any) -> bool:
    """Whether a class is a namespace or an object of a client, which users do not construct."""
    if not inspect.isclass(value) or attrs.has(value):
        return False
    try:
        parameters = list(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return False
    return parameters[:1] in (["engine"], ["state"])


def takes_fields(value: Any) -> bool:
    """Whether a function takes the fields of other classes as `**fields`."""
    function = inspect.unwrap(value) if callable(value) else value
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_VARKEYWORDS) and hasattr(function, "__signature__")


def alternatives(value: Any) -> list[str]:
    """The values of a `Literal`, as code, and the other members of a union."""
    if typing.get_origin(value) is typing.Literal:
        return [f'"{it}"' if isinstance(it, str) else repr(it) for it in typing.get_args(value)]
    members = typing.get_args(value)
    if not members:
        return [getattr(value, "__name__", str(value))]
    return list(dict.fromkeys(it for part in members for it in alternatives(part)))


def types_of_attributes(kind: Any) -> dict[str, str]:
    """The attributes of a class with their types: declared, or set by its constructor."""
    if attrs.has(kind):
        return public_fields(kind)
    return {name: it for name, it in members_with_attributes(kind).items() if isinstance(it, str) and it}


def public_fields(kind: Any) -> dict[str, str]:
    """The public fields of an attrs class with their types, as they are written."""
    # `attrs` replaces the types of fields once something resolves them.
    written: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        written |= vars(base).get("__annotations__", {})
    names = [it.name for it in attrs.fields(kind) if not it.name.startswith("_")]
    return {it: found if isinstance(found := written[it], str) else inspect.formatannotation(found) for it in names}


# -- for Sphinx -----------------------------------------------------------------

# Members of these are described once: on the page about events, and by Python.
_KNOWN_BASES = "EventEmitter,Model,Live,SogniError,Exception,UserWarning,tuple,Protocol,object"


def directive(name: str) -> str:
    """The directive that describes a public name."""
    path = path_of(name)
    value = resolve(path)
    if inspect.isclass(value):
        bases = f"   :inherited-members: {_KNOWN_BASES.replace('SogniError,', '')}\n"
        if path == "sogni.SogniError" or not issubclass(value, BaseException):
            bases = f"   :inherited-members: {_KNOWN_BASES}\n"
        inheritance = "   :show-inheritance:\n" if issubclass(value, BaseException) else ""
        return f".. autoclass:: {path}\n   :members:\n{bases}{inheritance}"
    if inspect.isfunction(value):
        return f".. autofunction:: {path}\n"
    if not typing.get_origin(value):
        return f".. autodata:: {path}\n   :no-value:\n"
    listed = ", ".join(f"`{it}`" for it in alternatives(value))
    return f".. py:data:: {path}\n\n   {one_of(value)} {listed}.\n"


def one_of(value: Any) -> str:
    """How a list of alternatives is introduced."""
    return "One of" if typing.get_origin(value) is typing.Literal else "Any of"


def for_sphinx(page: str) -> str:
    """A page with directives of Sphinx in place of its fences."""

    def expanded(found: re.Match[str]) -> str:
        if found[1] == "generated":
            return GENERATED[found[2]]()
        return "```{eval-rst}\n" + "\n".join(map(directive, found[3].split())) + "```"

    return FENCE.sub(expanded, page)


# -- for language models ----------------------------------------------------------


def for_language_models(page: str) -> str:
    """A page with descriptions as Markdown in place of its fences."""

    def expanded(found: re.Match[str]) -> str:
        if found[1] == "generated":
            return GENERATED[found[2]]().strip()
        return descriptions(found[3].split())

    return FENCE.sub(expanded, page)


def descriptions(names: list[str]) -> str:
    """The descriptions of public names."""
    if any(name.startswith("sogni.contrib.django") for name in names):
        # Its classes need a project of Django, which this process may have set up in another way, or not at all.
        command = [sys.executable, str(Path(__file__).resolve()), *names]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()
    return "\n".join("\n".join(described(path_of(name))) + "\n" for name in names).strip()


def described(path: str) -> Iterator[str]:
    """The lines about one public name."""
    value = resolve(path)
    name = path.removeprefix("sogni.") if path.count(".") == 1 else path
    if not inspect.isclass(value) and not inspect.isfunction(value):
        if typing.get_origin(value):
            yield f"- `{name}`: {one_of(value).lower()} {', '.join(f'`{it}`' for it in alternatives(value))}"
        else:
            yield f"- `{name}`: {sentence(docstring_parser.parse(inspect.getdoc(value) or '').short_description)}"
        return
    parsed = docstring_parser.parse(inspect.getdoc(value) or "")
    if inspect.isfunction(value):
        yield from function_lines(path, name, value, "")
        return
    constructed = not is_service_data(value) and not is_made_by_client(value)
    shown = signature_of(value) if constructed and "__init__" in vars(value) else ""
    yield f"### `{name}{shown}`"
    yield ""
    yield from paragraphs(parsed)
    yield from class_lines(path, value, parsed)


def paragraphs(parsed: docstring_parser.Docstring) -> Iterator[str]:
    """The text of a docstring, one line per paragraph."""
    for text in (parsed.short_description, parsed.long_description):
        for part in (text or "").split("\n\n"):
            if part.strip():
                yield part.strip("\n") if part.lstrip().startswith(("-", "|")) else " ".join(part.split())
                yield ""


def class_lines(path: str, kind: Any, parsed: docstring_parser.Docstring) -> Iterator[str]:
    """The fields and members of a class."""
    types = types_of_attributes(kind)
    constructor = vars(kind).get("__init__")
    own = docstring_parser.parse(inspect.getdoc(constructor) or "") if inspect.isfunction(constructor) else None
    described_in = own if own is not None and own.params and not parsed.params else parsed
    for it in [*described_in.params, *(parsed.params if described_in is not parsed else ())]:
        yield f"- {with_type(it.arg_name, types.get(it.arg_name, ''))}: {sentence(it.description)}"
    for name, member in members_of(kind):
        yield from member_lines(f"{path}.{name}", name, member)


def members_of(kind: Any) -> Iterator[tuple[str, Any]]:
    """The public members of a class, without those of the bases that are described once."""
    known = set(_KNOWN_BASES.split(","))
    seen: set[str] = set()
    for base in kind.__mro__:
        if base is not kind and base.__name__ in known:
            return
        for name, member in vars(base).items():
            plain = isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)
            if plain and not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name, member


def member_lines(path: str, name: str, member: Any) -> Iterator[str]:
    """The lines about a property or a method."""
    if isinstance(member, property):
        assert member.fget is not None
        returned = inspect.unwrap(member.fget).__annotations__.get("return", "")
        text = docstring_parser.parse(inspect.getdoc(member) or "")
        use = note_of(path)
        yield f"- {with_type(name, str(returned))}{use}: {' '.join(paragraphs(text)).strip()}"
    else:
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        yield from function_lines(path, name, function, "")


def function_lines(path: str, name: str, function: Any, indent: str) -> Iterator[str]:
    """The lines about a function and its parameters."""
    parsed = docstring_parser.parse(inspect.getdoc(function) or "")
    text = " ".join(" ".join(paragraphs(parsed)).split())
    result = f" Returns: {sentence(parsed.returns.description)}" if parsed.returns else ""
    yield f"{indent}- `{name}{signature_of(function)}`{note_of(path)}: {text}{result}"
    for it in own_parameters(parsed):
        yield f"{indent}  - `{it.arg_name}`: {sentence(it.description)}"
    if raised := [it for it in parsed.raises if it.type_name]:
        yield f"{indent}  - Raises " + "; ".join(f"`{it.type_name}`: {sentence(it.description)}" for it in raised)


def note_of(path: str) -> str:
    """How a name is used in asyncio, in parentheses."""
    use = asyncio_use(path)
    return f" (asyncio: `{use}`)" if use else ""


def own_parameters(parsed: docstring_parser.Docstring) -> list[Any]:
    """The described parameters, without the fields that stand for `**fields`."""
    found = [it for it in parsed.params if it.args[0] == "param"]
    names = [it.arg_name for it in found]
    return found[: names.index("**fields") + 1] if "**fields" in names else found


def with_type(name: str, kind: str) -> str:
    """A name with its type, as code."""
    return f"`{name}: {kind}`" if kind else f"`{name}`"


def sentence(text: str | None) -> str:
    """A description on one line."""
    return " ".join((text or "").split())


def signature_of(value: Any) -> str:
    """The signature of a function or class as it is written, without `self` and the fields behind `**fields`."""
    # With `suggest_keywords` and the like, the definition is below.
    function = inspect.unwrap(vars(value).get("__init__", value) if inspect.isclass(value) else value)
    signature = inspect.signature(function, follow_wrapped=False)
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    code = getattr(function, "__code__", None)
    if code is not None:
        names = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
        stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = [it for it in parameters if it.kind in stars or it.name in names]
        if code.co_flags & inspect.CO_VARKEYWORDS and not any(it.kind is stars[1] for it in parameters):
            fields = code.co_varnames[len(names) + bool(code.co_flags & inspect.CO_VARARGS)]
            parameters.append(inspect.Parameter(fields, stars[1]))
    # Types are written without quotes.
    text = str(signature.replace(parameters=parameters))
    return re.sub(r"(?<=: )'([^']*)'|(?<=-> )'([^']*)'|(?<=: )\"([^\"]*)\"", lambda it: it[1] or it[2] or it[3], text)


def main() -> None:
    """Print the descriptions of names of the Django app."""
    configure_django()
    print("\n".join("\n".join(described(name)) + "\n" for name in sys.argv[1:]))


def configure_django() -> None:
    """Set up Django so that the classes of the app can be imported."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(INSTALLED_APPS=["sogni.contrib.django"], DATABASES={}, USE_TZ=True)
        django.setup()


if __name__ == "__main__":
    main()
