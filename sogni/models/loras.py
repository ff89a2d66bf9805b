"""LoRAs: the public catalog, and those that an account has imported."""

# projects-5x §17; additions-5x §0 to §2

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from attrs import field, frozen

from sogni.models.base import EPOCH, Model

PersonalLoraStatus = Literal["queued", "validating", "review", "ready", "rejected", "revoked"] | str
PersonalLoraFailure = Literal["source_access", "subscription_required", "catalog_duplicate", "invalid_artifact"] | str

ENDED: tuple[PersonalLoraStatus, ...] = ("ready", "rejected", "revoked")
"""Statuses that an import does not leave by itself."""


@frozen(kw_only=True)
class LoraRangeLabels(Model):
    """What the two ends of the range of a LoRA do.

    Attributes:
        min: Effect of the smallest strength.
        max: Effect of the largest strength.
    """

    min: str | None = None
    max: str | None = None


@frozen(kw_only=True)
class LoraSection(Model):
    """A section of the catalog.

    Attributes:
        id: ID of the section.
        label: Name for display.
        order: Position among the sections.
    """

    id: str
    label: str = ""
    order: float | None = None


@frozen(kw_only=True)
class LoraExample(Model):
    """A result made with a LoRA.

    Attributes:
        url: URL of the result.
        caption: Caption for display.
        is_mature: Whether the result is for adults only.
        prompt: Prompt of the result.
        negative_prompt: Negative prompt of the result.
    """

    url: str
    caption: str | None = None
    is_mature: bool | None = None
    prompt: str | None = None
    negative_prompt: str | None = None


@frozen(kw_only=True)
class LoraExampleGroup(Model):
    """Results made with a LoRA that belong together, for example at several strengths.

    Attributes:
        title: Title for display.
        examples: The results.
        prompt: Prompt of the results.
        negative_prompt: Negative prompt of the results.
    """

    title: str = ""
    examples: list[LoraExample] = field(factory=list)
    prompt: str | None = None
    negative_prompt: str | None = None


@frozen(kw_only=True)
class LoraUi(Model):
    """How to offer a LoRA: the range of its strength, and what to show.

    Attributes:
        min: Smallest strength; it may be negative.
        max: Largest strength.
        default: Suggested strength, often not 1.0. A project without strengths uses 1.0.
        step: Distance between suggested strengths.
        recommended_min: Smallest recommended strength.
        recommended_max: Largest recommended strength.
        range_labels: What the two ends of the range do.
        category: Category of the LoRA.
        section: Section of the catalog in which to show the LoRA.
        nsfw: Whether the LoRA needs the content filter off (``disable_nsfw_filter=True``).
        sexual: Whether the LoRA is for sexual content.
        creator: Who made the LoRA.
        source_url: Where the LoRA comes from.
        license: Name of the license.
        license_url: URL of the license.
        examples: Results made with the LoRA.
        example_groups: Results that belong together.
        example_prompt: A prompt to try the LoRA with.
        example_negative_prompt: A negative prompt to try the LoRA with.
    """

    min: float | None = None
    max: float | None = None
    default: float | None = None
    step: float | None = None
    recommended_min: float | None = None
    recommended_max: float | None = None
    range_labels: LoraRangeLabels | None = None
    category: str | None = None
    section: LoraSection | None = None
    nsfw: bool = False
    sexual: bool = False
    creator: str | None = None
    source_url: str | None = None
    license: str | None = None
    license_url: str | None = None
    examples: list[LoraExample] = field(factory=list)
    example_groups: list[LoraExampleGroup] = field(factory=list)
    example_prompt: str | None = None
    example_negative_prompt: str | None = None


@frozen(kw_only=True)
class Lora(Model):
    """A LoRA of the catalog.

    Attributes:
        lora_id: ID of the LoRA, for `loras`.
        slug: Short name.
        name: Name for display.
        description: What the LoRA does.
        related_lora_ids: IDs of related LoRAs, for example of the same style for other models.
        model_ids: IDs of the models that the LoRA can be applied to.
        ui: The range of its strength, and what to show.
    """

    lora_id: str
    slug: str = ""
    name: str = ""
    description: str = ""
    related_lora_ids: list[str] = field(factory=list)
    model_ids: list[str] = field(factory=list)
    ui: LoraUi = field(factory=LoraUi)


@frozen(kw_only=True)
class LoraConstraints(Model):
    """Limits of the LoRAs of a project.

    Attributes:
        max_per_request: Maximum number of LoRAs.
        min_strength: Smallest strength. The range of a LoRA is narrower.
        max_strength: Largest strength. The range of a LoRA is narrower.
    """

    max_per_request: int = 8
    min_strength: float = -100
    max_strength: float = 100


@frozen(kw_only=True)
class LoraCatalog(Model):
    """The LoRAs that projects can use. Iterating over a catalog yields its LoRAs.

    Attributes:
        loras: The LoRAs.
        models: IDs of the models that take LoRAs, sorted.
        constraints: Limits of the LoRAs of a project.
        last_updated: When the service last changed the catalog.
    """

    loras: list[Lora]
    models: list[str] = field(factory=list)
    constraints: LoraConstraints = field(factory=LoraConstraints)
    last_updated: datetime | None = None

    def __iter__(self) -> Iterator[Lora]:
        """Iterate over the LoRAs."""
        return iter(self.loras)

    def __len__(self) -> int:
        """Return the number of LoRAs."""
        return len(self.loras)


@frozen(kw_only=True)
class PersonalLora(Model):
    """A LoRA that the account has imported.

    Attributes:
        id: ID of the import, for `personal_loras.get` and `.remove`. Projects take the `lora_id` that
            `personal_loras.catalog` lists.
        name: Name chosen by the account.
        model_id: ID of the model that it was imported for.
        model_ids: IDs of the models that it can be applied to.
        source: Where it comes from.
        status: ``"queued"``, ``"validating"`` or ``"review"`` while it is imported, then ``"ready"`` or
            ``"rejected"``; ``"revoked"`` if it was withdrawn later.
        created_at: When the import was requested.
        updated_at: When the status last changed.
        bytes: Size of the file in bytes, once known.
        reason: Why it was rejected or revoked, for display.
        failure_code: Why it was rejected, for programs.
        requirements: What the source requires of its users.
    """

    id: str
    name: str = ""
    model_id: str = ""
    model_ids: list[str] = field(factory=list)
    source: str = ""
    status: PersonalLoraStatus
    created_at: datetime | None = field(default=None, metadata=EPOCH)
    updated_at: datetime | None = field(default=None, metadata=EPOCH)
    bytes: int | None = None
    reason: str | None = None
    failure_code: PersonalLoraFailure | None = None
    requirements: list[str] = field(factory=list)

    @property
    def ended(self) -> bool:
        """True once the import has ended: the LoRA is ready, rejected or revoked."""
        return self.status in ENDED


@frozen(kw_only=True)
class PersonalLoraLimits(Model):
    """Limits of the personal LoRAs of an account.

    Attributes:
        entries: Maximum number of personal LoRAs.
        file_bytes: Maximum size of a file in bytes; None if there is no limit.
        imports_per_day: Maximum number of imports per day.
        per_generation: Maximum number of personal LoRAs in one project.
    """

    entries: int | None = None
    file_bytes: int | None = None
    imports_per_day: int | None = None
    per_generation: int | None = None


@frozen(kw_only=True)
class PersonalLoraList(Model):
    """The personal LoRAs of an account. Iterating over the list yields its LoRAs.

    Attributes:
        loras: The LoRAs, whatever their status.
        models: IDs of the models that personal LoRAs can be imported for.
        limits: Limits of the account.
    """

    loras: list[PersonalLora]
    models: list[str] = field(factory=list)
    limits: PersonalLoraLimits = field(factory=PersonalLoraLimits)

    def __iter__(self) -> Iterator[PersonalLora]:
        """Iterate over the LoRAs."""
        return iter(self.loras)

    def __len__(self) -> int:
        """Return the number of LoRAs."""
        return len(self.loras)
