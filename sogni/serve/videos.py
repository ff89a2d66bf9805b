"""`/v1/videos`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from sogni_async import SogniClient


@define
class Videos:
    """The videos that this server has made."""

    client: SogniClient
