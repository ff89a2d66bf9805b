"""`manage.py sogni_sync`: settle the projects that a restart interrupted."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from django.core.management.base import CommandError, CommandParser

from sogni.contrib.django.bases import BaseCommand
from sogni.contrib.django.follower import follower
from sogni.contrib.django.models import LOST_SECONDS, SogniProject
from sogni.errors import SogniError


class Command(BaseCommand):
    """Determines the state of unfinished projects, and stores the results of those that have ended."""

    help: str = (
        "Update the unfinished projects, and store the results of those that have ended. "
        "Run it after a restart or from cron."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--wait", action="store_true", help="wait until the projects that still run are finished")
        parser.add_argument("--timeout", type=float, default=3600.0, help="longest wait in seconds (default: 3600)")
        parser.add_argument(
            "--lost-after",
            type=float,
            default=LOST_SECONDS,
            help="mark a project that the service does not know as failed after so many seconds (default: 600)",
        )

    def handle(self, *args: Any, wait: bool, timeout: float, lost_after: float, **options: Any) -> None:
        """Print a line for each project, and a summary. Fails if the state of any project could not be determined."""
        rows: list[SogniProject] = list(SogniProject.objects.unfinished())
        errors = 0
        for row in rows:
            try:
                row.resume(lost_after=lost_after)
            except (SogniError, OSError) as error:
                errors += 1
                self.stderr.write(f"{row.pk}: {type(error).__name__}: {error}")
        deadline = time.monotonic() + timeout
        while wait and any(follower.follows(row.pk) for row in rows) and time.monotonic() < deadline:
            time.sleep(0.25)
        ended = [SogniProject.objects.get(pk=row.pk) for row in rows]
        for row in ended:
            self.stdout.write(f"{row.pk} {row.status}" + (f": {row.error}" if row.error else ""))
        counts = Counter(row.status if row.finished else "unfinished" for row in ended)
        self.stdout.write(", ".join(f"{number} {status}" for status, number in counts.items()) or "nothing to do")
        if errors:
            raise CommandError(f"{errors} of {len(rows)} could not be looked up")
