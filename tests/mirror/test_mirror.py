"""`sogni_async` is `sogni` with `await`: the same names, signatures and docstrings, nothing else.

Compared are the public names of the packages, and every public class and function that a package defines
itself in `client` or `api` (errors, params and data are the same classes and need no comparison).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

sogni = pytest.importorskip("sogni")
sogni_async = pytest.importorskip("sogni_async")

# The same method in both forms.
ASYNC_SPELLING = {
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}
# Never awaited, in either package; iterators are, where they are iterated.
PLAIN = {"local", "on", "once", "off", "to_dict", "events", "stream_events", "map", "as_completed", "record"}

# Named like an iterator, but a list that the service is asked for.
ASKED_FOR = {("Workflows", "events")}

# An asyncio type, and the type of the same meaning in the blocking package.
SAME_MEANING = {
    "AsyncIterator": "Iterator",
    "AsyncIterable": "Iterable",
    "AsyncGenerator": "Generator",
    "AsyncBinaryIO": "BinaryIO",
    "AsyncContextManager": "ContextManager",
    "AbstractAsyncContextManager": "AbstractContextManager",
    "sogni_async": "sogni",
}
# What is awaited means what awaiting gives: the position of that among the arguments.
AWAITED = {"Awaitable": 0, "Coroutine": 2}


# --- what is compared


def modules_of(package: str) -> Iterator[types.ModuleType]:
    """`client`, `api` and all in it."""
    yield importlib.import_module(f"{package}.client")
    api = importlib.import_module(f"{package}.api")
    yield api
    for found in pkgutil.walk_packages(api.__path__, f"{package}.api."):
        yield importlib.import_module(found.name)


def defined_in(package: str) -> dict[str, Any]:
    """The public classes and functions a package defines, by name."""
    return {
        name: value
        for module in modules_of(package)
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


def members(owner: type) -> dict[str, Any]:
    """The public methods and properties of a class, those of its bases in the package and the core included."""
    ours = {owner.__module__.partition(".")[0], "sogni"}
    found: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.partition(".")[0] not in ours:
            continue
        for name, value in vars(base).items():
            spelled = next((plain for plain, other in ASYNC_SPELLING.items() if other == name), name)
            if spelled == "__init__" or spelled in ASYNC_SPELLING or not name.startswith("_"):
                found[spelled] = value
    return {name: it for name, it in found.items() if is_member(it)}


def is_member(value: object) -> bool:
    """Methods and properties; not slots, constants and nested names."""
    # `func` is what a cached property wraps.
    sorts = (types.FunctionType, staticmethod, classmethod, property)
    return isinstance(value, sorts) or hasattr(value, "func")


def function_of(member: Any) -> Callable[..., Any]:
    """The function below a property, class method, static method or cached property."""
    for attribute in ("fget", "__func__", "func"):
        member = getattr(member, attribute, None) or member
    return inspect.unwrap(member)


BLOCKING = defined_in("sogni")
ASYNCIO = defined_in("sogni_async")
IN_BOTH = sorted(set(BLOCKING) & set(ASYNCIO))
MEMBERS = sorted(
    (name, member)
    for name in IN_BOTH
    if inspect.isclass(BLOCKING[name]) and inspect.isclass(ASYNCIO[name])
    for member in set(members(BLOCKING[name])) & set(members(ASYNCIO[name]))
)
FUNCTIONS = [name for name in IN_BOTH if inspect.isfunction(BLOCKING[name])]


def pair(owner: str, member: str | None) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The same function or method in both packages."""
    if member is None:
        return function_of(BLOCKING[owner]), function_of(ASYNCIO[owner])
    return (
        function_of(members(BLOCKING[owner])[member]),
        function_of(members(ASYNCIO[owner])[member]),
    )


CALLABLES = [*((name, None) for name in FUNCTIONS), *MEMBERS]
each_callable = pytest.mark.parametrize(
    ("owner", "member"),
    CALLABLES,
    ids=[owner if member is None else f"{owner}.{member}" for owner, member in CALLABLES],
)


# --- how it is compared


class InBlockingWords(ast.NodeTransformer):
    """Rewrite an annotation to what the blocking package would say."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(SAME_MEANING.get(node.id, node.id))

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        # `typing.Any`, `sogni.models.Job` and the bare name mean the same; so do their asyncio forms.
        return self.visit_Name(ast.Name(node.attr))

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        # A quoted forward reference; a text in Literal[...] parses to itself or not at all.
        if isinstance(node.value, str) and node.value.isidentifier():
            return self.visit_Name(ast.Name(node.value))
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        generic = self.visit(node.value)
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if isinstance(generic, ast.Name) and generic.id in AWAITED:
            return self.visit(arguments[AWAITED[generic.id]])
        rewritten = [self.visit(argument) for argument in arguments]
        return ast.Subscript(generic, ast.Tuple(rewritten) if len(rewritten) > 1 else rewritten[0])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """`Awaitable[None] | None` says no more than `None`."""
        left, right = self.visit(node.left), self.visit(node.right)
        if ast.unparse(right) in ast.unparse(left).split(" | "):
            return left
        return ast.BinOp(left, node.op, right)


def annotation_text(annotation: object) -> str:
    """An annotation in the blocking package's words."""
    if annotation is inspect.Parameter.empty:
        return ""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    try:
        return ast.unparse(InBlockingWords().visit(ast.parse(text, mode="eval")))
    except SyntaxError:  # formatannotation of an object that has no spelling
        return text.replace("sogni_async", "sogni")


def default_text(default: object) -> str:
    """A default; functions and sentinels by name, because each package may have its own."""
    if default is inspect.Parameter.empty:
        return "(required)"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(default)).replace("sogni_async", "sogni")


def signature_lines(function: Callable[..., Any]) -> list[str]:
    """One line per parameter, and one for the result."""
    signature = inspect.signature(function)
    return [
        *(
            f"{it.kind.description} {it.name}: {annotation_text(it.annotation)} = {default_text(it.default)}"
            for it in signature.parameters.values()
        ),
        f"-> {annotation_text(signature.return_annotation)}",
    ]


def docstring_words(value: object) -> list[str]:
    """A docstring without what makes it asyncio; the line breaks may then fall elsewhere."""
    text = inspect.getdoc(value) or ""
    # `(await project.wait()).status` needs parentheses that `project.wait().status` does not have.
    text = re.sub(r"\(await\s+([\w.]+\([^()]*\))\)", r"\1", text)
    text = re.sub(r"\bawait\s+", "", text)
    text = re.sub(r"\basync\s+(with|for|def)\b", r"\1", text)
    text = re.sub(r"\basyncio\.run\((\w+)\(\)\)", r"\1()", text)
    return text.replace("sogni_async", "sogni").split()


# --- the rules


def test_both_packages_export_the_same_names():
    assert sorted(sogni.__all__) == sorted(sogni_async.__all__)


@pytest.mark.parametrize("name", sorted(sogni.__all__))
def test_an_exported_name_exists_in_both_packages(name):
    assert hasattr(sogni, name)
    assert hasattr(sogni_async, name)


@pytest.mark.parametrize("name", sorted(sogni.__all__))
def test_an_exported_name_is_shared_or_compared_here(name):
    ours, theirs = getattr(sogni, name, None), getattr(sogni_async, name, None)
    if ours is theirs or ours == theirs:
        return
    assert name in IN_BOTH, f"sogni.{name} and sogni_async.{name} differ and are in neither client nor api"


def test_both_packages_define_the_same_classes_and_functions():
    assert sorted(BLOCKING) == sorted(ASYNCIO)


@pytest.mark.parametrize("name", [name for name in IN_BOTH if inspect.isclass(BLOCKING[name])])
def test_a_class_has_the_same_members_and_docstring(name):
    blocking, asyncio_one = BLOCKING[name], ASYNCIO[name]
    assert inspect.isclass(asyncio_one)
    assert sorted(members(blocking)) == sorted(members(asyncio_one))
    assert docstring_words(blocking) == docstring_words(asyncio_one)


@pytest.mark.parametrize(("owner", "member"), MEMBERS, ids=[".".join(it) for it in MEMBERS])
def test_a_member_is_of_the_same_sort(owner, member):
    """A property is one in both; so are class methods."""
    sorts = [type(members(side[owner])[member]) for side in (BLOCKING, ASYNCIO)]
    assert sorts[0] is sorts[1]


@each_callable
def test_signatures_are_the_same(owner, member):
    blocking, asyncio_one = pair(owner, member)
    assert signature_lines(blocking) == signature_lines(asyncio_one)


@each_callable
def test_overloads_are_the_same(owner, member):
    blocking, asyncio_one = (
        [signature_lines(overload) for overload in typing.get_overloads(function)] for function in pair(owner, member)
    )
    assert blocking == asyncio_one


@each_callable
def test_docstrings_are_the_same(owner, member):
    blocking, asyncio_one = pair(owner, member)
    assert docstring_words(blocking) == docstring_words(asyncio_one)


@each_callable
def test_what_never_waits_is_plain_in_both(owner, member):
    name = member or owner
    never_waits = (
        (name in PLAIN and (owner, member) not in ASKED_FOR)
        or name == "__init__"
        or (member and is_property(owner, member))
    )
    blocking, asyncio_one = pair(owner, member)
    assert not inspect.iscoroutinefunction(blocking)
    if never_waits:
        assert not inspect.iscoroutinefunction(asyncio_one)


def is_property(owner: str, member: str) -> bool:
    return not isinstance(members(BLOCKING[owner])[member], (types.FunctionType, staticmethod, classmethod))


# --- the comparison itself


@pytest.mark.parametrize(
    ("asyncio_form", "blocking_form"),
    [
        ("Awaitable[int]", "int"),
        ("Coroutine[Any, Any, list[str]]", "list[str]"),
        ("AsyncIterator[ProjectEvent]", "Iterator[ProjectEvent]"),
        ("collections.abc.AsyncIterator[sogni_async.api.handles.Job]", "Iterator[Job]"),
        ("Callable[[Job], Awaitable[None] | None]", "Callable[[Job], None]"),
        ("'Project' | None", "Project | None"),
    ],
)
def test_asyncio_annotations_mean_their_blocking_form(asyncio_form, blocking_form):
    assert annotation_text(asyncio_form) == annotation_text(blocking_form)


def test_different_annotations_differ():
    assert annotation_text("Awaitable[int]") != annotation_text("str")
    assert annotation_text("Literal['a']") != annotation_text("Literal['b']")


def test_docstrings_are_compared_up_to_await():
    def blocking() -> None:
        """Wait.

        >>> with sogni.SogniClient() as client:
        ...     client.check()
        """

    def other() -> None:
        """Wait.

        >>> async with sogni_async.SogniClient() as client:
        ...     await client.check()
        """

    def another() -> None:
        """Wait longer."""

    assert docstring_words(blocking) == docstring_words(other)
    assert docstring_words(blocking) != docstring_words(another)
