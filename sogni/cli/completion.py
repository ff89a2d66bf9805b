"""The command `sogni completion`: scripts that complete commands, options and names in a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sogni.cli.exit_codes import Command
from sogni.cli.output import write

VARIABLE = "_SOGNI_COMPLETE"
INSTALL = {
    "bash": "mkdir -p ~/.local/share/bash-completion/completions && "
    "sogni completion bash > ~/.local/share/bash-completion/completions/sogni",
    "zsh": "echo 'eval \"$(sogni completion zsh)\"' >> ~/.zshrc  # after compinit",
    "fish": "mkdir -p ~/.config/fish/completions && sogni completion fish > ~/.config/fish/completions/sogni.fish",
}
"""How to install the script of each shell for all later sessions."""


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(tuple(INSTALL)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options, files, and the names of models and LoRAs.

    Names come from the service, and are kept for a day. bash must be 4.4 or newer. A comment at the top of the script
    explains how to install it.

    Example: eval "$(sogni completion bash)"
    """
    found = get_completion_class(shell)
    assert found is not None
    script = found(context.find_root().command, {}, "sogni", VARIABLE)
    # Without `BashComplete.source`, which would start a bash and print its version to standard error.
    first, *lines = (found.source_template % script.source_vars()).strip().splitlines()
    # zsh looks for #compdef in the first line.
    beginning = [f"# To install: {INSTALL[shell]}", first]
    write("\n".join([*(reversed(beginning) if first.startswith("#") else beginning), *lines]))
