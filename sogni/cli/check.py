"""`sogni check`: whether everything that a project needs works."""

from __future__ import annotations

import click

from ..errors import AuthenticationError
from ..models.health import HealthReport
from .access import Access, accessing
from .commands import Command
from .ending import AUTHENTICATION, DONE, FAILED, say
from .output import print_json, write


@click.command(cls=Command)
@click.option("--timeout", type=float, metavar="SECONDS", help="Give every step at most this long.")
@accessing
def check(access: Access, timeout: float | None) -> int:
    """Prove key, connection and balance without spending anything.

    Exit code 3 when the key is refused, 1 when anything else does not work.
    """
    with access.client(timeout) as client:
        report = client.check(timeout)
    if access.as_json:
        print_json(report)
    else:
        write(str(report))
    if report.ok:
        return DONE
    failed = ", ".join(check.name for check in report.checks if not check.ok)
    say(f"does not work: {failed}")
    return AUTHENTICATION if refused(report) else FAILED


def refused(report: HealthReport) -> bool:
    """Whether the service refused the key; a service that cannot be reached has not."""
    return any(check.error == AuthenticationError.__name__ for check in report.checks)
