"""`manage.py sogni_check`: check the settings, the service and the storage."""

from __future__ import annotations

from typing import Any

from django.core.files.base import ContentFile
from django.core.management.base import CommandError, CommandParser

from sogni.contrib.django.bases import BaseCommand
from sogni.contrib.django.clients import get_client
from sogni.contrib.django.conf import configuration
from sogni.contrib.django.models import result_storage


class Command(BaseCommand):
    """Checks everything that a project needs, without spending anything."""

    help: str = "Check key, hosts, socket and balance, and that results can be stored. Nothing is spent."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--timeout", type=float, default=30.0, help="seconds for all checks together (default: 30)")

    def handle(self, *args: Any, timeout: float, **options: Any) -> None:
        """Print the result of each check. Fails if any check failed."""
        report = get_client().check(timeout=timeout)
        self.stdout.write(str(report))
        stored = self._check_storage()
        if not (report.ok and stored):
            raise CommandError("not everything works; see the lines that begin with NO")

    def _check_storage(self) -> bool:
        alias, storage = configuration().storage, result_storage()
        try:
            name = storage.save("sogni-check.txt", ContentFile(b"sogni_check"))
            storage.delete(name)
        except Exception as error:
            self.stdout.write(f"NO  storage: {alias!r} cannot store files: {type(error).__name__}: {error}")
            return False
        self.stdout.write(f"ok  storage: {alias!r} stores files")
        return True
