"""The base classes from Django, as type checkers see them: Django has no types, so every member is `Any`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:

    class _Members(type):
        def __getattr__(cls, name: str) -> Any: ...

    class _Base(metaclass=_Members):
        def __init__(self, *args: Any, **fields: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...

    class AppConfig(_Base):
        """`django.apps.AppConfig`."""

    class BaseCommand(_Base):
        """`django.core.management.base.BaseCommand`."""

    class LazyObject(_Base):
        """`django.utils.functional.LazyObject`."""

    class Manager(_Base):
        """`django.db.models.Manager`."""

    class Migration(_Base):
        """`django.db.migrations.Migration`."""

    class Model(_Base):
        """`django.db.models.Model`."""
else:
    from django.apps import AppConfig
    from django.core.management.base import BaseCommand
    from django.db.migrations import Migration
    from django.db.models import Manager, Model
    from django.utils.functional import LazyObject

__all__ = ["AppConfig", "BaseCommand", "LazyObject", "Manager", "Migration", "Model"]
