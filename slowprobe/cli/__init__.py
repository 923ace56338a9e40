"""The command line: one module a command, loaded when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

import slowprobe
from slowprobe.errors import SlowprobeError

COMMANDS = {
    "profile": "Run a training script and report why it is slow.",
    "report": "Make the report of a recorded run again.",
    "analyze": "Report from existing torch.profiler traces, of one rank or many.",
    "rules": "List the causes slowprobe knows, or explain one.",
}


class _Lazy(click.Group):
    """Lists commands from a table and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"slowprobe.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(slowprobe.__version__, prog_name="slowprobe")
def group() -> None:
    """Find out why PyTorch training is slow: the cause, the line, the edit, and the speed-up to expect."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every expected error is one line on stderr and an exit code."""
    try:
        group.main(args=list(arguments) if arguments is not None else None, prog_name="slowprobe", standalone_mode=True)
    except SlowprobeError as error:
        print(f"slowprobe: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
