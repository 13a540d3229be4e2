"""Options that say how a film is read and written."""

from pathlib import Path
from typing import Annotated

import typer

from kinema_client.commands.options import Codec, DeinterlaceMode, Preset

FilmCodec = Annotated[
    Codec | None, typer.Option(show_default="h264", help="How a film is encoded; ffv1 is lossless, for archives.")
]
Crf = Annotated[
    int | None,
    typer.Option(min=0, max=63, show_default="h264 18, hevc 20, av1 24", help="Quality; lower is better and larger."),
]
FilmPreset = Annotated[
    Preset | None, typer.Option(show_default="veryfast", help="Of h264, hevc, av1: slower is smaller.")
]
Deinterlacing = Annotated[
    DeinterlaceMode, typer.Option(help="Pictures of two fields made whole: as the film is marked, all, or none.")
]
FrameRate = Annotated[
    str | None, typer.Option(show_default="24", help="Rate of numbered pictures that come in, as 18 or 24000/1001.")
]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Leave out what cannot be decoded or carried over, with a warning each.")
]
Compare = Annotated[bool, typer.Option("--compare", help="Write grey and colour side by side.")]
Report = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write a page that tells what was made of a film, as report.html."),
]
Restart = Annotated[bool, typer.Option("--restart", help="Drop what an interrupted run has kept, and begin anew.")]
Force = Annotated[bool, typer.Option("--force", help="Replace OUT, and a report, if they are there.")]
