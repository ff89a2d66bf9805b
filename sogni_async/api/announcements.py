"""Announcements of the service: `client.announcements`."""

from __future__ import annotations

from sogni.core import announcements
from sogni.keywords import suggest_keywords
from sogni.models.announcements import Announcement
from sogni_async.transport.engine import Engine


@suggest_keywords
class Announcements:
    """Announcements of the service. They need no socket.

    A client that subscribes to `appAlert` also receives new ones, as the event `app_alert` of the client.

    Example:
        >>> async with SogniClient(socket_event_subscriptions={"appAlert": True}) as client:
        ...     remove = client.on("app_alert", lambda announcement: print(announcement.title))
        ...     await client.connect()
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def active(self, platform: str | None = None) -> list[Announcement]:
        """Fetch the announcements that are active now and that the account has not dismissed.

        Args:
            platform: Name of the application as an app source, for example `"sogni-mac"`. Default: none; announcements
                for specific platforms are not included.

        Returns:
            The announcements.

        Raises:
            ValidationError: `platform` is empty or not a string. Nothing has been sent.
            ApiError: The service refused the request.

        Example:
            >>> _ = supernet.announce("Maintenance", "Tonight at **10 p.m.**", kind="banner", lifetime=3600)
            >>> [announcement.title for announcement in await client.announcements.active()]
            ['Maintenance']
        """
        return await self._engine.run(announcements.active_announcements(platform))

    async def dismiss(self, id: str) -> None:
        """Dismiss an announcement, for the account on all its devices.

        Args:
            id: ID of the announcement.

        Raises:
            NotFoundError: The announcement does not exist.
            ApiError: The service refused the request.

        Example:
            >>> _ = supernet.announce("Maintenance", kind="banner", lifetime=3600)
            >>> for announcement in await client.announcements.active():
            ...     await client.announcements.dismiss(announcement.id)
            >>> await client.announcements.active()
            []
        """
        await self._engine.run(announcements.dismiss_announcement(id))
