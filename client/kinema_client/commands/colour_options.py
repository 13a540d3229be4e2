"""Options that say what the colours are to be like."""

from pathlib import Path
from typing import Annotated

import typer

Saturation = Annotated[float, typer.Option(min=0, max=2, help="Factor on the colour.")]
Smoothing = Annotated[float, typer.Option(min=0, max=1, help="How calm the colour of a film is held.")]
Warmth = Annotated[float, typer.Option(min=-1, max=1, help="-1 for colder, 1 for warmer colours.")]
DesaturateBlacks = Annotated[
    float, typer.Option(min=0, max=50, help="Below this L* colour fades, to none in black, as in prints; 0 is off.")
]
DesaturateHighlights = Annotated[
    float, typer.Option(min=50, max=100, help="Above this L* colour fades, to none in white; 100 is off.")
]
ReferencePicture = Annotated[
    Path | None, typer.Option(metavar="PICTURE", help="Give every shot the palette of this picture.")
]
KeepColour = Annotated[
    bool,
    typer.Option("--keep-colour", help="Leave shots and photos that are in colour; tinted ones are colorized."),
]
WorkingSize = Annotated[
    int, typer.Option(min=0, max=1024, help="The model sees about this many pixels squared; 0 for its own size.")
]
