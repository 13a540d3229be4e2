"""Photos in and out, as 8-bit sRGB."""

import logging
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from kinema_core.errors import InvalidInputError, MediaError
from kinema_core.frames import check_size
from kinema_core.media.output_file import PartialFile
from kinema_core.media.photo_header import is_cut_png, read_photo_size

_log = logging.getLogger(__name__)

PHOTO_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""What photos are read from and written to."""

_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
_ENCODINGS = {
    ".jpeg": _JPEG,
    ".jpg": _JPEG,
    ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],  # above 100 is lossless
}


def read_photo(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a photo as it is to be seen.

    Returns:
        (H, W, 3) uint8 sRGB, as `decode_photo` makes it.

    Raises:
        MediaError: there is no such file, or it is not a photo that can be decoded.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as err:
        raise MediaError(f"{os.fspath(path)} cannot be read: {err.strerror}") from err
    return decode_photo(data, name=os.fspath(path))


def decode_photo(data: bytes, *, name: str = "the photo") -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP, TIFF or BMP.

    EXIF orientation is honoured. Grey photos come as three equal channels, 16 bit are rounded to 8, transparency is
    laid over white (of a transparent photo alone the EXIF orientation is left aside). Colour profiles are not applied:
    the numbers are taken for sRGB.

    Args:
        data: the encoded photo.
        name: what messages call it.

    Returns:
        (H, W, 3) uint8 sRGB.

    Raises:
        MediaError: it is of another kind, damaged, or larger than `frames.MAX_SIDE` a side.
    """
    size = read_photo_size(data)
    if size is None:
        raise MediaError(f"{name} is not a photo; give a complete file of one of {', '.join(PHOTO_SUFFIXES)}")
    try:
        check_size(*size, field=name)
    except InvalidInputError as err:
        raise MediaError(f"{err}; scale it down first") from err
    if is_cut_png(data):
        raise MediaError(f"{name} is damaged or cut short; copy it again")
    encoded = np.frombuffer(data, np.uint8)
    pixels = _decode(encoded, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is not None and not data.startswith(b"\xff\xd8"):  # JPEG has no alpha
        unchanged = _decode(encoded, cv2.IMREAD_UNCHANGED)
        if unchanged is not None and unchanged.ndim == 3 and unchanged.shape[2] == 4:
            pixels = unchanged
    if pixels is None:
        raise MediaError(f"{name} is damaged or of an unknown kind; copy it again, or convert it to PNG")
    return _to_rgb(_to_8_bit(pixels, name))


def write_photo(path: str | os.PathLike[str], rgb: NDArray[np.uint8], *, overwrite: bool = False) -> None:
    """Write a photo in the format that its suffix names, complete or not at all; a missing folder is created.

    JPEG is of quality 95 with full colour resolution (4:4:4); all else is lossless.

    Args:
        path: one of PHOTO_SUFFIXES.
        rgb: (H, W, 3) uint8 sRGB.
        overwrite: whether a file of that name may be replaced.

    Raises:
        OutputExistsError: the name is taken, and `overwrite` is False.
        MediaError: another suffix, or the file cannot be written.
        InvalidInputError: `rgb` is no such array.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise InvalidInputError("rgb", f"must be (H, W, 3) uint8, got {rgb.shape} {rgb.dtype}")
    suffix = check_photo_suffix(path)
    file = PartialFile(path, overwrite=overwrite)
    is_encoded, data = cv2.imencode(suffix, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), _ENCODINGS.get(suffix, []))
    if not is_encoded:
        raise MediaError(f"{os.fspath(path)} cannot be encoded at {rgb.shape[1]}x{rgb.shape[0]}; write .png")
    try:
        file.partial.write_bytes(data.tobytes())
    except OSError as err:
        file.discard()
        raise MediaError(f"{os.fspath(path)} cannot be written: {err.strerror}") from err
    except BaseException:  # Ctrl-C
        file.discard()
        raise
    file.commit()


def list_photos(folder: str | os.PathLike[str]) -> list[Path]:
    """Give all photos in a folder and the folders in it, sorted by their names below `folder`; hidden ones are left.

    Every path begins with `folder`, so `path.relative_to(folder)` is its name in another folder.

    Raises:
        MediaError: `folder` is not a folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise MediaError(f"{root} is not a folder")
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    names = sorted(name for name in found if not any(part.startswith(".") for part in name.parts))
    return [root / name for name in names if (root / name).is_file()]


def check_photo_suffix(path: str | os.PathLike[str]) -> str:
    """Give the suffix in lower case.

    Raises:
        MediaError: it is none of PHOTO_SUFFIXES.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in PHOTO_SUFFIXES:
        raise MediaError(f"{os.fspath(path)}: a photo is one of {', '.join(PHOTO_SUFFIXES)}, not {suffix!r}")
    return suffix


def _decode(encoded: NDArray[np.uint8], flags: int) -> NDArray[np.generic] | None:
    try:
        pixels: NDArray[np.generic] | None = cv2.imdecode(encoded, flags)
    except cv2.error:
        return None
    return pixels


def _to_8_bit(pixels: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        _log.warning("photo_rounded name=%s advice='16 bits a sample become 8, which is what comes out'", name)
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 / 255 = 257
    if pixels.dtype != np.uint8:
        raise MediaError(f"{name} has samples of {pixels.dtype}; save it with 8 or 16 bit")
    return pixels.astype(np.uint8, copy=False)


def _to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring OpenCV's grey, BGR or BGRA to RGB."""
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, np.newaxis], 3, axis=2)
    rgb = pixels[:, :, 2::-1]
    if pixels.shape[2] == 4:
        alpha = pixels[:, :, 3:].astype(np.uint32)
        rgb = ((rgb * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(rgb)
