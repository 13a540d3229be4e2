"""The command line `kinema`: the client's own commands, and those that the server and the trainer plug in."""

import importlib.metadata
import logging
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint
from typing import Annotated

import typer
from typer.core import TyperGroup

from kinema_client.commands.bench import bench
from kinema_client.commands.colorize import colorize
from kinema_client.commands.compile import compile_model
from kinema_client.commands.doctor import doctor
from kinema_client.edges import EdgeCommand, advice_on_missing
from kinema_core.errors import KinemaError
from kinema_core.log_fields import FieldsFormatter

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(colorize)
app.command()(bench)
app.command("compile")(compile_model)
app.command()(doctor)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"kinema {importlib.metadata.version('kinema')}")
        raise typer.Exit


@app.callback()
def kinema(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Colorize black-and-white film and photographs."""


def command_group(edges: Iterable[EntryPoint]) -> TyperGroup:
    """Make the client's commands and those that `edges` plug in."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for entry_point in sorted(edges, key=lambda edge: edge.name):
        group.add_command(EdgeCommand(entry_point))
    return group


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `kinema` with `arguments`, or those of the process, and return its exit code.

    0 for success, 1 where something failed, 2 for a command that was not understood, 130 after Ctrl-C.
    """
    handler = logging.StreamHandler()
    handler.setLevel(logging.WARNING)  # a report collects more than a person is told
    handler.setFormatter(FieldsFormatter("kinema: %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    commands = command_group(importlib.metadata.entry_points(group="kinema.commands"))
    try:
        commands.main(arguments, prog_name="kinema")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(done.code is not None)
    except (KinemaError, MemoryError) as err:
        for line in (str(err) or "there is not enough memory", *getattr(err, "__notes__", ())):
            typer.echo(f"kinema: {line}", err=True)
    except ModuleNotFoundError as err:
        advice = advice_on_missing(err)
        if advice is None:
            raise
        typer.echo(f"kinema: {advice}", err=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
