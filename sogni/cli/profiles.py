"""Profiles: named settings in a file that only its owner can read, chosen with `--profile` or SOGNI_PROFILE.

In order of precedence: options of a command, environment variables, the profile, defaults.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import platformdirs
from attrs import field, frozen

from sogni.core.checks import did_you_mean
from sogni.errors import ValidationError
from sogni.redaction import Environment, secret
from sogni.settings import resolve

FILE_NAME = "profiles.toml"
DEFAULT = "default"
"""Name of the profile that is used if none is chosen. It need not exist."""

VARIABLES: Mapping[str, str | None] = {
    "api_key": "SOGNI_API_KEY",
    "rest_endpoint": "SOGNI_REST_ENDPOINT",
    "socket_endpoint": "SOGNI_SOCKET_ENDPOINT",
    "network": None,
    "token_type": "SOGNI_TOKEN_TYPE",
    "output_dir": None,
}
"""The settings of a profile, each with the environment variable that takes precedence."""
_OF_CLIENT = ("api_key", "rest_endpoint", "socket_endpoint", "token_type")
_NAME = re.compile(r"[A-Za-z0-9_-]+")

Profiles = dict[str, dict[str, str]]


@frozen(kw_only=True)
class Profile:
    """The profile of a command."""

    name: str
    path: Path | None
    values: Mapping[str, str] = field(factory=dict, repr=False)

    def client_arguments(self, environ: Mapping[str, str], *names: str) -> dict[str, Any]:
        """Return the settings for a client that no environment variable overrides, all or those with these names."""
        chosen: dict[str, Any] = {name: self.values[name] for name in names or _OF_CLIENT if name in self.values}
        return {name: value for name, value in chosen.items() if not environ.get(VARIABLES[name] or "")}


def current_profile() -> Profile:
    """Return the profile of the running command.

    Raises:
        UsageError: The chosen profile does not exist.
        ValidationError: The file is damaged, or contains an invalid setting.
    """
    chosen = chosen_name()
    path = find_path()
    known = load(path)
    if chosen is not None and chosen not in known:
        names = f"there are {', '.join(known)}" if known else "there are none"
        raise click.UsageError(f"no profile {chosen!r} in {path}: {names}; 'sogni config set' creates one")
    name = chosen or DEFAULT
    for setting, value in known.get(name, {}).items():
        check(setting, value)
    return Profile(name=name, path=path, values=known.get(name, {}))


def chosen_name() -> str | None:
    """Return the name in `--profile` or SOGNI_PROFILE. Raises UsageError if it is invalid."""
    context = click.get_current_context(silent=True)
    name = context.find_root().params.get("profile") if context else None
    if name is not None and not _NAME.fullmatch(name):
        raise click.UsageError(f"--profile must consist of letters, digits, - and _, got {name!r}")
    return name


def setting(name: str) -> str | None:
    """Return a setting of the current profile, for the default of an option."""
    return current_profile().values.get(name)


def find_path() -> Path | None:
    """Return the file with the profiles, which need not exist; None if there is no home directory."""
    with suppress(RuntimeError):
        path = platformdirs.PlatformDirs("sogni", appauthor=False).user_config_path
        return path / FILE_NAME if path.is_absolute() else None
    return None


def load(path: Path | None) -> Profiles:
    """Return all profiles. Raises ValidationError if the file is damaged; its text is not quoted."""
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except ValueError:
        raise ValidationError(f"{path} is not a TOML file in UTF-8", field="profile") from None
    for name, values in content.items():
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValidationError(f"{path}: {name} must be a table of strings", field="profile")
    return {name: {key: _hidden(key, value) for key, value in values.items()} for name, values in content.items()}


def _hidden(name: str, value: str) -> str:
    return secret(value) if name == "api_key" else value


def save(path: Path, profiles: Profiles) -> None:
    """Replace the file with these profiles; a crash leaves the old file or the new one."""
    lines = []
    for name, values in profiles.items():
        # JSON strings are TOML strings, except for U+007F.
        pairs = [f"{key} = {json.dumps(value).replace(chr(0x7F), chr(92) + 'u007f')}" for key, value in values.items()]
        lines += [f"[{name}]", *pairs, ""]
    path = Path(os.path.realpath(path))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates files that only their owner can read.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def check(name: str, value: str) -> None:
    """Raise ValidationError if the setting is unknown or the value is invalid."""
    if name not in VARIABLES:
        hint = did_you_mean(name, VARIABLES)
        raise ValidationError(f"there is no setting {name!r}{hint or ': ' + ', '.join(VARIABLES)}", field="name")
    if name == "output_dir":
        if not value:
            raise ValidationError("output_dir must be a directory, got ''", field="output_dir")
        return
    given: dict[str, Any] = {name: value}
    resolve(Environment({}), **given)


def shown(name: str, value: str) -> str:
    """Return a value for display; only the end of a key."""
    return f"…{value[-4:]}" if name == "api_key" and len(value) >= 16 else "…" if name == "api_key" else value
