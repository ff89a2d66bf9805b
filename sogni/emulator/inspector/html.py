"""HTML that is escaped by construction: strings become text, and only elements are markup."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta", "source"})


class Markup(str):
    """Markup that is safe to include. Made by ``element`` and ``join`` only."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]
"""Content of an element: text, markup, nothing, or a sequence of these."""


def element(tag: str, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element.

    Args:
        tag: Name of the element.
        *children: Its content.
        **attributes: Its attributes, with ``_`` for ``-`` and a trailing ``_`` for reserved words. True stands for an
            attribute without a value; those that are None or False are left out.

    Returns:
        The element.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    opening = f"<{tag}{written}>"
    return Markup(opening if tag in _VOID else f"{opening}{join(children)}</{tag}>")


def join(children: Child) -> Markup:
    """Return content as markup."""
    if children is None:
        return Markup()
    if isinstance(children, Markup):
        return children
    if isinstance(children, str | int | float):
        return Markup(escape(str(children)))
    return Markup("".join(map(join, children)))


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    written = name.removesuffix("_").replace("_", "-")
    return f" {written}" if value is True else f' {written}="{escape(str(value))}"'
