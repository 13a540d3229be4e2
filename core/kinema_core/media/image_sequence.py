"""Films as numbered pictures: `scan_%05d.png` stands for scan_00001.png, scan_00002.png, ..."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from kinema_core.errors import MediaError, OutputExistsError

DEFAULT_RATE = Fraction(24)
"""Pictures a second of a sequence that nobody said it of: that of sound film."""
TIMES_NAME = "timestamps.txt"
"""Beside written pictures: when each is to be seen, as mkvmerge reads it (timestamp format v2)."""
_NUMBER = re.compile(r"%(?:0(\d+))?d")


@dataclass(frozen=True, slots=True)
class ImageSequence:
    """Numbered pictures in a folder, none missing between the first and the last."""

    url: str
    """As FFmpeg's image2 demuxer takes it."""
    first_number: int
    num_pictures: int

    def demuxer_options(self, frame_rate: Fraction | None) -> dict[str, str]:
        """Give the options of FFmpeg's image2 demuxer."""
        rate = DEFAULT_RATE if frame_rate is None else frame_rate
        return {"pattern_type": "sequence", "start_number": str(self.first_number), "framerate": str(rate)}


def is_pattern(name: str) -> bool:
    """Tell whether a name stands for numbered pictures; a file that is called so itself is that file."""
    return len(_NUMBER.findall(Path(name).name)) == 1 and not Path(name).exists()


def name_of(pattern: str, number: int) -> str:
    """Give the file name of one picture."""
    before, width, after = _parts(pattern)
    return f"{before}{number:0{width or 1}}{after}"


def find_sequence(name: str) -> ImageSequence | None:
    """Look for the pictures that a pattern stands for; None where `name` is no pattern.

    Raises:
        MediaError: there is none, or one is missing between others.
    """
    if not is_pattern(name):
        return None
    folder = Path(name).parent
    numbers = _numbers_in(folder, Path(name).name)
    if not numbers:
        raise MediaError(
            f"there is no picture {folder / name_of(name, 1)} or the like; look at the folder and the pattern"
        )
    missing = next((number for number, there in enumerate(numbers, numbers[0]) if number != there), None)
    if missing is not None:
        raise MediaError(
            f"{folder / name_of(name, missing)} is missing between {name_of(name, numbers[0])} and "
            f"{name_of(name, numbers[-1])}; add it, or colorize the parts one by one"
        )
    before, width, after = (part.replace("%", "%%") for part in _parts(name))
    folder_part = str(folder).replace("%", "%%")
    url = f"file:{folder_part}/{before}%{f'0{width}' if width else ''}d{after}"
    return ImageSequence(url, numbers[0], len(numbers))


def check_folder(pattern: str, *, overwrite: bool) -> Path:
    """Give the folder that numbered PNG files are written to, if it is free for them.

    Raises:
        OutputExistsError: there are pictures in it already, and `overwrite` is False.
        MediaError: `pattern` is no pattern of PNG files in a folder, or something else is in that folder's place.
    """
    folder = Path(pattern).parent
    advice = "name a folder of its own for the pictures, as in colour/%05d.png"
    if not is_pattern(pattern) or Path(pattern).suffix.lower() != ".png" or not folder.name:
        raise MediaError(f"{pattern} does not stand for PNG files; {advice}")
    if not folder.exists():
        return folder
    if not folder.is_dir():
        raise MediaError(f"{folder} is a file; {advice}")
    names = [path.name for path in folder.iterdir()]
    others = [name for name in names if Path(name).suffix.lower() != ".png" and name != TIMES_NAME]
    if others:
        raise MediaError(f"{folder} holds other files, such as {others[0]}; {advice}")
    if names and not overwrite:
        raise OutputExistsError(
            f"there are pictures in {folder} already; name another folder, or --force to replace it"
        )
    return folder


def _numbers_in(folder: Path, pattern: str) -> list[int]:
    before, width, after = _parts(pattern)
    digits = rf"\d{{{width},}}" if width else r"0|[1-9]\d*"
    wanted = re.compile(f"{re.escape(before)}({digits}){re.escape(after)}")
    found = (wanted.fullmatch(path.name) for path in folder.iterdir()) if folder.is_dir() else ()
    return sorted(int(one[1]) for one in found if one)


def _parts(pattern: str) -> tuple[str, str, str]:
    """Give what comes before the number in the file's name, the least number of digits, and what comes after."""
    before, width, after = _NUMBER.split(Path(pattern).name)
    return before, width or "", after
