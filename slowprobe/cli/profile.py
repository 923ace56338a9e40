"""``slowprobe profile``: run a script recorded, then report."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from slowprobe.cli.report import NO_REDACT, write_report
from slowprobe.errors import BadInputError, SlowprobeError


class _Profile(click.Command):
    """What follows ``-m MODULE`` belongs to the module, as with python -m."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        index = 0
        while index < len(args) and args[index].startswith("-") and args[index] != "--":
            takes_value = args[index] in ("-m", "--out", "--steps")
            end = index + 1 + takes_value
            if args[index].startswith("-m"):
                args = [*args[:end], "--", *args[end:]]
                break
            index = end
        return super().parse_args(ctx, args)


@click.command(
    cls=_Profile,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    help="Run SCRIPT (or -m MODULE) with its ARGS as python would, record it, and report why it is slow.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the report and the run data [default: reports/<script>-<time>].",
)
@click.option("--steps", type=click.IntRange(min=1), help="Record only the first N training steps; the script runs on.")
@click.option("--no-trace", is_flag=True, help="Record no torch.profiler window.")
@click.option("--open", "open_report", is_flag=True, help="Open the report in a browser.")
@click.option("--no-redact", is_flag=True, help=NO_REDACT)
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT [ARGS]...")
def command(
    out: Path | None,
    steps: int | None,
    no_trace: bool,
    open_report: bool,
    no_redact: bool,
    module: str | None,
    arguments: tuple[str, ...],
) -> None:
    """Run, record, report; the exit code is the script's."""
    from slowprobe.capture.new_run import new_run
    from slowprobe.cli.supervise import end_like, run
    from slowprobe.run.folder import rank
    from slowprobe.run.reader import append_exit
    from slowprobe.run.schema import Exit

    target = _target(module, arguments)
    script = module or arguments[0]
    origin_ns = time.perf_counter_ns()
    folder = new_run(out, script, command=["python", *target], script=script, mode="profile", origin_ns=origin_ns)
    launch = Path(__file__).resolve().parent.parent / "capture" / "launch.py"
    options = json.dumps({"steps": steps, "trace": not no_trace})
    status = run([sys.executable, *_interpreter_flags(), str(launch), str(folder), str(origin_ns), options, *target])
    ended_ns = time.perf_counter_ns() - origin_ns
    try:
        exit_code, signal_number = (status, None) if status >= 0 else (None, -status)
        append_exit(folder, Exit(at_ns=ended_ns, exit_code=exit_code, signal=signal_number))
        if not rank():  # the other ranks' recordings are there for `slowprobe report`
            write_report(folder, open_report, redact=not no_redact)
    except SlowprobeError as error:
        print(f"slowprobe: {error}", file=sys.stderr)
    except Exception as error:  # the script's result stands, whatever becomes of the report
        print(
            f"slowprobe: the report could not be made ({type(error).__name__}: {error}). "
            f"The recording is kept: slowprobe report {folder}",
            file=sys.stderr,
        )
    end_like(status)


def _target(module: str | None, arguments: tuple[str, ...]) -> list[str]:
    if module:
        return ["-m", module, *arguments]
    if not arguments:
        raise click.UsageError("give the script to run: slowprobe profile train.py [ARGS]")
    path = Path(arguments[0])
    if arguments[0].startswith("-") and not path.exists():
        raise click.NoSuchOption(arguments[0].partition("=")[0])
    if not path.exists():
        raise BadInputError(f"cannot find the script {arguments[0]!r} in {Path.cwd()}.")
    if path.is_dir() and not (path / "__main__.py").exists():
        raise BadInputError(f"{arguments[0]!r} is a folder without a __main__.py; give a script.")
    return list(arguments)


def _interpreter_flags() -> list[str]:
    import subprocess

    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]
