"""Saved workflows that are started with inputs (workflows §7)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import field, frozen

from .base import LooseModel, Model, wire

Visibility = Literal["private", "public", "team"]
Listing = Literal["own", "public", "all", "private", "team"]


@frozen(kw_only=True)
class TemplateAuthor(LooseModel):
    """Who made a template."""

    user_id: str | None = None
    display_name: str | None = None


@frozen(kw_only=True)
class TemplateOption(LooseModel):
    """One choice of a `select` input."""

    value: Any = None
    label: str | None = None


@frozen(kw_only=True)
class TemplateMultiple(LooseModel):
    """How many values an input takes."""

    min: int | None = None
    max: int | None = None


@frozen(kw_only=True)
class TemplateInput(LooseModel):
    """An input a template declares; stages refer to it as `$inputs.<name>`.

    `type` is `image`, `audio`, `video`, `text`, `number`, `select` or `boolean`. An `internal` one is chosen by
    the service when a run begins.
    """

    name: str
    type: str | None = None
    required: bool | None = None
    description: str | None = None
    default: Any = None
    options: list[TemplateOption] | None = None
    multiple: TemplateMultiple | None = None
    internal: bool | None = None


@frozen(kw_only=True)
class AmountRange(LooseModel):
    """From, to."""

    min: float | None = None
    max: float | None = None


@frozen(kw_only=True)
class WorkflowTemplate(LooseModel):
    """A saved workflow. `author` is `system` for those of the service. What else it holds is in `extra`."""

    id: str | None = None
    name: str
    version: str | None = None
    description: str | None = None
    category: str | None = None
    stability: Literal["experimental", "beta", "production"] | str | None = None
    author: TemplateAuthor | str | None = None
    visibility: Visibility | str | None = None
    inputs: list[TemplateInput] | None = None
    stages: list[Mapping[str, Any]] | None = None
    expose_to_llm: bool | None = field(default=None, metadata=wire("exposeToLLM"))
    llm_priority: float | None = None
    estimated_credits: AmountRange | None = None
    estimated_capacity_units: AmountRange | None = None
    tags: list[str] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@frozen(kw_only=True)
class TemplatePage(Model):
    """A page of templates; `next_cursor` is the `offset` of the page after it, None after the last."""

    templates: list[WorkflowTemplate] = field(factory=list)
    next_cursor: int | None = None
