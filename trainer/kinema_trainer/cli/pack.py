"""`python -m kinema_trainer pack`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from kinema_trainer.data.packing import pack_photos

console = Console()


def pack(
    data: Annotated[Path, typer.Argument(exists=True, help="Tar shards, photographs or CIFAR-10.")],
    out: Annotated[Path, typer.Argument(help="The chunks go here; must be empty or not be there yet.")],
    max_mib: Annotated[int, typer.Option(min=1, help="Largest size of a chunk, in MiB.")] = 60,
) -> None:
    """Pack photographs into tar shards of a limited size, held-out ones apart, for a machine without a network."""
    for shard in pack_photos(data, out, max_bytes=max_mib * 2**20):
        console.print(f"{shard} ({shard.stat().st_size / 2**20:.1f} MiB)")
