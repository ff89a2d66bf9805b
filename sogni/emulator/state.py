"""The shared state of an emulator and its two outputs: frames to clients and URLs of files.

``IdSource`` makes every random value that clients can see, repeatable with a ``seed``. Secrets (keys, URL signatures)
never come from it.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from attrs import Factory, define, field

from sogni.emulator.account.accounts import Account
from sogni.emulator.account.memberships import Term, Tier
from sogni.emulator.account.records import balance_frame, entitlement_frame
from sogni.emulator.account.sessions import Accounts, Pending
from sogni.emulator.account.wallets import Permits
from sogni.emulator.announcements import Announcement, Announcements
from sogni.emulator.catalogue.models import Catalogue, Media
from sogni.emulator.clock import Pace
from sogni.emulator.connections import Connection, Connections, Standing
from sogni.emulator.faults import Faults
from sogni.emulator.media.kinds import MediaKind
from sogni.emulator.persistence import Archive
from sogni.emulator.projects.personal_loras import PersonalLoras
from sogni.emulator.projects.projects import Project, Projects
from sogni.emulator.projects.saved_uploads import SavedUploads
from sogni.emulator.projects.storage import Key, Signer, Store
from sogni.emulator.recorder import Recorder


class IdSource:
    """A source of IDs and seeds, usable from any thread."""

    def __init__(self, seed: int | None = None) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Start again with the same IDs, if there is a seed."""
        with self._lock:
            self._random.seed(self._seed)

    def uuid(self) -> str:
        """Return a version-4 UUID in upper case."""
        # Protocol notes: transport §7.
        with self._lock:
            bits = self._random.getrandbits(128)
        return str(uuid.UUID(int=bits, version=4)).upper()

    def image_seed(self) -> int:
        """Return an unsigned 32-bit seed."""
        with self._lock:
            return self._random.getrandbits(32)


URL_LIFETIME = 3600
EXTERNAL_URL_LIFETIME = 24 * 3600


@define(eq=False, kw_only=True)
class State:
    """The state of an emulator. It belongs to the server's event loop, except for parts that say otherwise."""

    clock: Pace
    ids: IdSource
    catalogue: Catalogue
    accounts: Accounts
    faults: Faults
    recorder: Recorder
    store: Store
    signer: Signer
    projects: Projects
    saved_uploads: SavedUploads
    kinds: Mapping[Media, MediaKind]
    personal_loras: PersonalLoras
    archive: Archive = field(factory=Archive)
    connections: Connections = field(factory=Connections)
    announcements: Announcements = field(factory=Announcements)
    nonces: Pending[str] = field(default=Factory(lambda self: Pending(self.clock), takes_self=True))
    permits: Permits = field(
        default=Factory(lambda self: Permits(self.clock, testnet=self.accounts.testnet), takes_self=True)
    )
    checkouts: dict[str, tuple[Account, Tier, Term]] = field(factory=dict)
    """The open checkout pages, by number: who buys what."""
    sync_calls: dict[int, deque[float]] = field(factory=dict)
    """The times of the latest snapshots, by account."""
    start_seconds: Callable[[], float] = lambda: 0.0
    """Returns the seconds until a worker starts a project that arrives now."""
    rest_endpoint: str = ""

    def reset(self) -> None:
        """Forget everything that clients and tests have changed, except accounts, faults and records."""
        for part in (
            self.projects,
            self.announcements,
            self.personal_loras,
            self.saved_uploads,
            self.store,
            self.signer,
            self.nonces,
            self.permits,
            self.checkouts,
            self.sync_calls,
            self.catalogue.withdrawn,
            self.ids,
        ):
            part.clear()
        self.clock.running.set()
        self.clock.restore()

    def publish(self, project: Project, type: str, payload: Mapping[str, Any]) -> bool:
        """Send a frame about a project to the client that started it; return False if it is not connected."""
        connection = self.connections.find(project.account, project.app_id)
        sent = connection is not None and connection.send(type, {"jobID": project.id, **payload})
        self.recorder.notify()
        return sent

    def publish_balance(self, account: Account) -> None:
        balance = Standing("balanceUpdate", lambda: balance_frame(account))
        for connection in self.connections.of(account):
            connection.send_standing(balance)

    def publish_entitlement(self, account: Account) -> None:
        """Notify an account's clients of its subscription."""
        # Protocol notes: account §13.5.
        for connection in self.connections.of(account):
            connection.send("subscriptionEntitlementUpdated", entitlement_frame(account))
        self.recorder.notify()

    def publish_announcement(self, announcement: Announcement) -> None:
        self.announcements.publish(announcement)
        for connection in self.connections.all():
            if not announcement.platforms:
                send_alert(connection, announcement)
        self.recorder.notify()

    def download_url(self, key: Key, *, lifetime: int = URL_LIFETIME) -> str:
        return self._url(key, self.signer.sign("GET", key, lifetime=lifetime))

    def artifact_url(self, key: Key) -> str:
        """Return the URL of an artifact; it stays the same for a while."""
        return self._url(key, self.signer.sign("GET", key, lifetime=URL_LIFETIME, steady=True))

    def upload_url(self, key: Key, content_type: str | None) -> str:
        return self._url(key, self.signer.sign("PUT", key, lifetime=URL_LIFETIME, content_type=content_type))

    def _url(self, key: Key, query: Mapping[str, str]) -> str:
        return f"{self.rest_endpoint}/storage/{key.path}?{urlencode(query)}"


def send_alert(connection: Connection, announcement: Announcement) -> None:
    """Send an announcement in the one form that the connection receives."""
    # Protocol notes: transport §9.5.
    if connection.subscriptions.wants("appAlert"):
        connection.send("appAlert", announcement.wire())
    else:
        connection.send("toastMessage", announcement.toast())
