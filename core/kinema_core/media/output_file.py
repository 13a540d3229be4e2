"""Files that appear under their name complete, or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from kinema_core.errors import MediaError, OutputExistsError


class PartialFile:
    """A file that is written beside its final name and moved there when it is complete.

    `partial` is in the folder of `final` and has its suffix: `.film.partial.mp4` for `film.mp4`. A partial file that a
    killed run left behind is written over.
    """

    def __init__(self, final: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Claim the name; a missing folder is created, the file itself is left to the caller.

        Raises:
            OutputExistsError: the final name is taken and `overwrite` is False.
            MediaError: the final name is a folder's, or its folder cannot be created.
        """
        self.final = Path(final)
        self.partial = self.final.with_name(f".{self.final.stem}.partial{self.final.suffix}")
        self._overwrite = overwrite
        if self.final.is_dir():
            raise MediaError(f"{self.final} is a folder; name a file in it")
        if not overwrite and self.final.exists():
            raise OutputExistsError(f"{self.final} is there already; give another name, or --force to replace it")
        try:
            self.final.parent.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise MediaError(f"the folder {self.final.parent} cannot be created: {err.strerror}") from err

    def commit(self) -> None:
        """Move the complete file to its final name.

        Raises:
            OutputExistsError: something else took the final name meanwhile; the complete file is kept as `partial`.
            MediaError: the file cannot be moved; it is kept as `partial`.
        """
        if not self._overwrite and self.final.exists():
            raise OutputExistsError(f"{self.final} appeared while it was being made; the result is in {self.partial}")
        try:
            self.partial.replace(self.final)
        except OSError as err:
            raise MediaError(f"{self.partial} cannot be moved to {self.final}: {err.strerror}") from err

    def discard(self) -> None:
        """Remove what was written, if anything was."""
        with suppress(OSError):  # an error is on its way already, and that is the one to be seen
            self.partial.unlink()
