"""``slowprobe rules``: the catalogue of known causes."""

from __future__ import annotations

from difflib import get_close_matches

import click

from slowprobe.errors import BadInputError

MOST_NAMED = 3  # names that an unknown id may stand for


@click.group(
    invoke_without_command=True, help="List the causes slowprobe knows; `rules explain ID` prints one in full."
)
@click.pass_context
def command(context: click.Context) -> None:
    """List the rules, one a line."""
    if context.invoked_subcommand is not None:
        return
    from slowprobe.diagnose.engine import discover

    for loaded in discover():
        click.echo(f"{loaded.id:28} {loaded.rule.bottleneck:12} {loaded.rule.title}")


@command.command(help="Print what the rule ID is about, how it is seen and how to mend it.")
@click.argument("rule_id", metavar="ID")
def explain(rule_id: str) -> None:
    """Print the docstring of a rule."""
    from slowprobe.diagnose.engine import discover

    known = {loaded.id: loaded for loaded in discover()}
    if rule_id not in known:
        raise BadInputError(f"no rule {rule_id!r}.{_meant(rule_id, list(known))} `slowprobe rules` lists them all.")
    click.echo(f"{rule_id}\n\n{known[rule_id].documentation}")


def _meant(rule_id: str, known: list[str]) -> str:
    """The ids that look like what was asked for, or hold it."""
    asked = rule_id.strip().lower().replace("_", "-").removesuffix(".py")
    close = get_close_matches(asked, known, n=MOST_NAMED)
    close += [each for each in known if asked and asked in each and each not in close]
    return f" Did you mean {' or '.join(close[:MOST_NAMED])}?" if close else ""
