"""The command `sogni doctor`: check the installation and configuration, and advise how to fix problems."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Literal
from urllib.parse import urlsplit

import click
import requests
from attrs import frozen

from sogni.cli.connection_options import ConnectionOptions, connection_options, saved_session
from sogni.cli.exit_codes import AUTHENTICATION, DONE, FAILED, Command
from sogni.cli.output import print_json, write
from sogni.cli.profiles import VARIABLES as VARIABLES_OF_PROFILES
from sogni.cli.profiles import Profile, current_profile
from sogni.core.checks import did_you_mean
from sogni.errors import AuthenticationError, SogniError
from sogni.local.app_ids import state_directory
from sogni.local.causes import cause_of, innermost
from sogni.local.proxies import bundled_authorities, ca_bundle_for, proxy_for, read_proxy
from sogni.models.connection import HealthCheck
from sogni.settings import VERSION, Settings, resolve

State = Literal["ok", "note", "bad"]

VARIABLES = (
    "SOGNI_API_KEY",
    "SOGNI_APP_ID",
    "SOGNI_TOKEN_TYPE",
    "SOGNI_REST_ENDPOINT",
    "SOGNI_SOCKET_ENDPOINT",
    "SOGNI_LOG",
    "SOGNI_MAX_COST",
    "SOGNI_PROFILE",
    "SOGNI_SERVE_KEY",
    "SOGNI_MCP_KEY",
)
PACKAGES = ("requests", "websocket-client", "attrs", "cattrs", "aiohttp")
EXTRA_OF = re.compile(r"""([\w.-]+).*;.*\bextra == ["']([\w-]+)["']""")
"""A requirement in the metadata of the distribution: its package, and the extra that it belongs to."""
NOT_TO_USE = ("all", "dev")
"""Extras that combine others, or are only for developing the package."""
CLOCK_TOLERANCE_SECONDS = 60
"""Signatures, sessions and signed URLs are valid for minutes; a minute leaves room for slow responses."""
TIMEOUT_SECONDS = 10.0

NEW_KEY = "Create a key in the menu under the user name at dashboard.sogni.ai, and set SOGNI_API_KEY."
LET_THROUGH = "A firewall or proxy must let WebSocket connections (HTTP Upgrade) to the socket host through."


@frozen(kw_only=True)
class Finding:
    """The result of one check.

    Attributes:
        name: What was checked.
        state: Whether it works, is worth knowing, or must be changed.
        detail: What was found.
        advice: What to do about it; "" if no action is needed.
        error: Class of the error that occurred.
    """

    name: str
    state: State
    detail: str
    advice: str = ""
    error: str | None = None

    def __str__(self) -> str:
        line = f"{self.state:4}  {self.name:13} {self.detail}"
        return f"{line}\n{'':20}-> {self.advice}" if self.advice else line


@click.command(cls=Command)
@connection_options
def doctor(connection: ConnectionOptions) -> int:
    """Find problems that keep commands and scripts from working, and suggest fixes.

    Checks versions, environment variables, credentials, directories, proxy, certificates, hosts, clock, balance and
    socket. Nothing is spent. Exits with code 3 if the credentials are rejected and 1 if anything else must be changed.

    Example: sogni doctor --local
    """
    findings: list[Finding] = []
    for finding in _examine(connection):
        findings.append(finding)
        if not connection.as_json:
            write(str(finding))
    if connection.as_json:
        print_json({"ok": all(it.state != "bad" for it in findings), "findings": findings})
    bad = [it for it in findings if it.state == "bad"]
    if not bad:
        return DONE
    return AUTHENTICATION if any(it.error == AuthenticationError.__name__ for it in bad) else FAILED


def _examine(connection: ConnectionOptions) -> Iterator[Finding]:
    yield from _versions()
    yield from _variables(os.environ)
    yield _state_directory()
    if not connection.local:
        try:
            profile = current_profile()
            yield _profile(profile, os.environ)
            given = {**profile.client_arguments(os.environ), "network": connection.network}
            if connection.key is not None:
                given["api_key"] = connection.key
            settings = resolve(os.environ, **given)
        except (SogniError, click.UsageError) as error:
            yield Finding(
                name="settings",
                state="bad",
                detail=str(error),
                advice="Correct or unset the variable or the setting of the profile.",
            )
            return
        yield _credentials(connection, profile, os.environ)
        hosts = list(_hosts(settings, os.environ))
        yield from hosts
        # What needs an unreachable host would fail for the same reason, after as many seconds again.
        if any(it.state == "bad" and it.name.endswith("host") for it in hosts):
            return
    try:
        with connection.client(TIMEOUT_SECONDS) as client:
            yield from map(_from_check, client.check(TIMEOUT_SECONDS).checks)
    except AuthenticationError as error:
        yield _from_check(HealthCheck(name="credentials", ok=False, detail=str(error), error=type(error).__name__))


def _versions() -> Iterator[Finding]:
    packages = ", ".join(f"{name} {installed}" for name in PACKAGES if (installed := _installed(name)))
    system = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding(name="versions", state="ok", detail=f"sogni {VERSION}, {system}; {packages}")
    if missing := missing_extras():
        names = ", ".join(missing)
        advice = f"If you need one: pip install 'sogni[{missing[0]}]'."
        yield Finding(name="extras", state="note", detail=f"not installed: {names}", advice=advice)


def missing_extras() -> list[str]:
    """Return the extras of which a package is not installed; none if the distribution itself is not."""
    try:
        found = [EXTRA_OF.match(line) for line in requires("sogni") or ()]
    except PackageNotFoundError:
        return []
    needed = [(it[2], it[1]) for it in found if it is not None and it[2] not in NOT_TO_USE]
    return sorted({extra for extra, package in needed if not _installed(package)})


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    given = sorted(name for name in environ if name.startswith("SOGNI_"))
    known = [name for name in given if name in VARIABLES]
    # Values stay out: the key is among them, and endpoints may contain credentials.
    yield Finding(name="environment", state="ok", detail=", ".join(known) or "no variable of sogni is set")
    for name in given:
        if name not in VARIABLES:
            detail = f"{name} is set, but nothing reads it{did_you_mean(name, VARIABLES, most=1)}"
            yield Finding(name="environment", state="note", detail=detail, advice="Correct its name, or unset it.")


def _state_directory() -> Finding:
    advice = "Without it, every process is a new app id, and 'sogni login' cannot store its session: make it writable."
    try:
        directory = state_directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        return Finding(name="directory", state="note", detail=str(error), advice=advice)
    if not os.access(directory, os.W_OK | os.X_OK):
        return Finding(name="directory", state="note", detail=f"{directory} is not writable", advice=advice)
    return Finding(name="directory", state="ok", detail=str(directory))


def _profile(profile: Profile, environ: Mapping[str, str]) -> Finding:
    """Return which profile is used, and whether each of its settings takes effect."""
    if not profile.values:
        return Finding(name="profile", state="ok", detail=f"{profile.name!r}, without settings")
    told = [
        f"{name} from {variable if variable and environ.get(variable) else 'the profile'}"
        for name, variable in VARIABLES_OF_PROFILES.items()
        if name in profile.values
    ]
    return Finding(name="profile", state="ok", detail=f"{profile.name!r} in {profile.path}: {', '.join(told)}")


def _credentials(connection: ConnectionOptions, profile: Profile, environ: Mapping[str, str]) -> Finding:
    if connection.key is not None:
        return Finding(name="key", state="ok", detail="from --api-key-file")
    if environ.get("SOGNI_API_KEY"):
        return Finding(name="key", state="ok", detail="from SOGNI_API_KEY")
    if "api_key" in profile.values:
        return Finding(name="key", state="ok", detail=f"from the profile {profile.name!r}")
    store = saved_session()
    if store is not None and store.load() is not None:
        return Finding(name="key", state="ok", detail=f"none; the session of 'sogni login' in {store.path}")
    return Finding(name="key", state="note", detail="none, and no session of 'sogni login'")


def _hosts(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    for name, url in (("REST host", settings.rest_endpoint), ("socket host", settings.socket_http)):
        host = urlsplit(url).netloc.rpartition("@")[2]
        proxy = proxy_for(url, settings.proxy, environ)
        via = f" through the proxy {read_proxy(proxy).shown}" if proxy else ""
        bundle = ca_bundle_for(settings.ca_bundle, environ)
        trusting = "" if bundle == bundled_authorities() else f", trusting {bundle}"
        try:
            before = time.time()
            date = _date(url, proxy, bundle)
            after = time.time()
        except requests.RequestException as error:
            detail = f"{host}{via}: {cause_of(innermost(error))}{trusting}"
            yield Finding(name=name, state="bad", detail=detail, advice=_host_advice(error, proxy))
            continue
        yield Finding(name=name, state="ok", detail=f"{host} answered in {after - before:.2f} s{via}{trusting}")
        if name == "REST host" and date is not None:
            yield clock((before + after) / 2 - date)


def _date(url: str, proxy: str | None, bundle: str) -> float | None:
    """Return the time that the host reports, in seconds since the epoch, or None if it reports none."""
    with requests.Session() as session:
        # The proxy and the authorities have been determined as the client does; a .netrc would add credentials.
        session.trust_env = False
        proxies = {"http": proxy, "https": proxy} if proxy else {}
        response = session.head(url, proxies=proxies, verify=bundle, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None


def clock(ahead: float) -> Finding:
    """Return the finding for a clock that is `ahead` seconds ahead of the service."""
    if abs(ahead) <= CLOCK_TOLERANCE_SECONDS:
        return Finding(name="clock", state="ok", detail=f"within {max(1, round(abs(ahead)))} s of the service's")
    detail = f"{timedelta(seconds=round(abs(ahead)))} {'ahead of' if ahead > 0 else 'behind'} the service's"
    advice = "Sessions, signatures and signed URLs look expired or not yet valid: synchronize it (NTP)."
    return Finding(name="clock", state="bad", detail=detail, advice=advice)


def _host_advice(error: requests.RequestException, proxy: str | None) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "If a proxy inspects TLS, name its certificate: REQUESTS_CA_BUNDLE or SogniClient(ca_bundle=...)."
    if isinstance(error, requests.exceptions.ProxyError):
        return "Check https_proxy and no_proxy, and that the proxy allows this host."
    if proxy:
        return "Check the connection behind the proxy; no_proxy exempts a host from it."
    return "Check the network, the firewall and the endpoint variables; behind a proxy, set https_proxy."


def _from_check(check: HealthCheck) -> Finding:
    if check.ok:
        return Finding(name=check.name, state="ok", detail=check.detail)
    if check.error == AuthenticationError.__name__:
        advice = NEW_KEY
    elif check.name == "socket":
        advice = LET_THROUGH
    else:
        advice = "Try again later: the host answers, but the service refused or failed."
    return Finding(name=check.name, state="bad", detail=check.detail, advice=advice, error=check.error)
