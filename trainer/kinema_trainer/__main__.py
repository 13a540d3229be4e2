"""The trainer's commands without the rest of `kinema`: `python -m kinema_trainer`, for machines that only train."""

import sys

import typer

from kinema_core.errors import KinemaError
from kinema_trainer.cli.evaluate import evaluate
from kinema_trainer.cli.export import export
from kinema_trainer.cli.models import models
from kinema_trainer.cli.pack import pack
from kinema_trainer.cli.train import train

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
for command in (train, evaluate, export, models, pack):
    app.command()(command)

if __name__ == "__main__":
    try:
        app(prog_name="python -m kinema_trainer")
    except KinemaError as err:
        sys.exit(f"kinema: {err}")
