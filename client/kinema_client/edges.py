"""Commands of the server and the trainer: listed without importing them, imported when they are called."""

import ast
import importlib.metadata
import importlib.util
import re
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from kinema_core.errors import KinemaError

_OTHER_NAMES = {"cv2": "opencv-python-headless", "google": "protobuf", "grpc": "grpcio"}
"""Distributions that are not called after the module they bring."""


class EdgeCommand(TyperCommand):
    """Stands for a command in `kinema --help`, and hands over to it when it is called.

    So the list neither waits for an edge's imports nor breaks where one of them is missing.
    """

    def __init__(self, entry_point: EntryPoint) -> None:
        super().__init__(entry_point.name, help=read_summary(entry_point))
        self._entry_point = entry_point

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Load the command and make its own context, which is then what runs."""
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(self.name)(self._load())
        return typer.main.get_command(app).make_context(info_name, args, parent, **extra)

    def _load(self) -> Any:
        try:
            return self._entry_point.load()
        except ImportError as err:
            advice = advice_on_missing(err) if isinstance(err, ModuleNotFoundError) else None
            reason = advice or f"it cannot be imported: {err}"
            raise KinemaError(f"'{self.name}' cannot run here: {reason}") from err


def read_summary(entry_point: EntryPoint) -> str:
    """Give the first line of the docstring of a plugged-in function, read from its source without running it."""
    root, *parts = entry_point.module.split(".")
    spec = importlib.util.find_spec(root)  # of a top-level name, so nothing is imported
    if spec is None or not spec.submodule_search_locations:
        return "(not installed)"
    source = Path(spec.submodule_search_locations[0]).joinpath(*parts).with_suffix(".py")
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError) as err:
        return f"(cannot be read: {err})"
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry_point.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return "(missing)"


def advice_on_missing(err: ModuleNotFoundError) -> str | None:
    """Say in one line which package is missing and how to get it; None where the module is no dependency of Kinema."""
    module = (err.name or "").partition(".")[0]
    name = _normalized(_OTHER_NAMES.get(module, module))
    found: dict[str, tuple[str, str]] = {}
    """The package's name and what pip is to install, by the extra that has it, "" for none."""
    for text in importlib.metadata.requires("kinema") or []:
        requirement, _, marker = text.partition(";")
        package = re.match(r"[\w.-]+", requirement)
        if package is not None and _normalized(package[0]) == name:
            extra = re.search(r"extra == ['\"]([\w-]+)", marker)
            found[extra[1] if extra else ""] = package[0], f"kinema[{extra[1]}]" if extra else requirement.strip()
    if not found:
        return None
    # Engines that lack a package say so themselves: what a command lacks, the trainer's extra has, if any has.
    missing, wanted = found.get("train") or next(iter(found.values()))
    return f"{missing} is not installed; mend it with: pip install '{wanted}'"


def _normalized(name: str) -> str:
    """Spell a distribution's name as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", name).lower()
