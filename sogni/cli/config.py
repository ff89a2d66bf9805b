"""The commands `sogni config list`, `get`, `set` and `unset`: the settings of profiles.

The API key is read from a prompt or a file, never from an argument, which other users of the host could read.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from sogni.cli.connection_options import JSON, read_key
from sogni.cli.exit_codes import Command, Group
from sogni.cli.login import prompt_secretly
from sogni.cli.output import print_json, print_table, write
from sogni.cli.profiles import DEFAULT, VARIABLES, check, chosen_name, current_profile, find_path, load, save, shown
from sogni.errors import NotFoundError
from sogni.local.storage import is_url
from sogni.redaction import secret

_NAME = click.argument("name", type=click.Choice(tuple(VARIABLES)), metavar="NAME")


@click.group(cls=Group)
def config() -> None:
    """Keep settings in profiles: key, endpoints, network, token and output directory.

    'sogni --profile NAME COMMAND' or SOGNI_PROFILE chooses a profile; otherwise the profile 'default' is used.
    Options and environment variables take precedence.

    Example: sogni --profile work config set network relaxed
    """


@config.command("list", cls=Command)
@JSON
def list_(as_json: bool) -> None:
    """List the settings of all profiles. Only the end of API keys is shown.

    Example: sogni config list
    """
    profiles = load(find_path())
    safe = {name: {key: shown(key, value) for key, value in it.items()} for name, it in profiles.items()}
    if as_json:
        print_json({"file": str(find_path() or ""), "profiles": safe})
    else:
        print_table(
            ("profile", "setting", "value"),
            [(name, key, value) for name, it in safe.items() for key, value in it.items()],
        )


@config.command(cls=Command)
@_NAME
def get(name: str) -> None:
    """Print a setting of the profile. Only the end of an API key is shown.

    Example: sogni config get output_dir
    """
    profile = current_profile()
    if name not in profile.values:
        raise NotFoundError(f"the profile {profile.name!r} has no {name}; 'sogni config set {name}' sets it")
    write(shown(name, profile.values[name]))


@config.command("set", cls=Command)
@_NAME
@click.argument("value", required=False)
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Read the API key from FILE (- for standard input). Default: prompt for it.",
)
def set_(name: str, value: str | None, file: str | None) -> None:
    """Set NAME of the profile to VALUE. The profile is created if it does not exist.

    NAME is api_key, rest_endpoint, socket_endpoint, network, token_type or output_dir. An API key is prompted for, or
    read with --file, since other users of this computer can read arguments.

    Example: sogni --profile work config set output_dir ~/pictures
    """
    if name == "api_key":
        if value is not None:
            raise click.UsageError("VALUE must be omitted for api_key: it is prompted for, or read with --file")
        value = secret(prompt_secretly("API key") if file is None else read_key(file, None))
    elif file is not None:
        raise click.UsageError("--file is only for api_key")
    if value is None:
        raise click.UsageError(f"VALUE is missing for {name}")
    if name == "output_dir" and value and not is_url(value):
        value = os.path.abspath(os.path.expanduser(value))
    check(name, value)
    path = _path()
    profiles = load(path)
    profiles.setdefault(chosen_name() or DEFAULT, {})[name] = str(value).strip()
    save(path, profiles)


@config.command(cls=Command)
@_NAME
def unset(name: str) -> None:
    """Remove a setting of the profile. Removing the last one removes the profile.

    Example: sogni config unset network
    """
    profile, path = current_profile(), _path()
    profiles = load(path)
    if profiles.get(profile.name, {}).pop(name, None) is None:
        raise NotFoundError(f"the profile {profile.name!r} has no {name}")
    save(path, {key: values for key, values in profiles.items() if values})


def _path() -> Path:
    path = find_path()
    if path is None:
        raise click.UsageError("no home directory to keep profiles in: set HOME or XDG_CONFIG_HOME")
    return path
