"""A model bundle: a folder with `manifest.json`, `model.onnx`, `MODEL_CARD.md` and, if it has one, `model.int8.onnx`.

The manifest names every other file with its SHA-256. Nothing in the folder is parsed before its digest matches, and
the bytes that were hashed are the bytes that an engine gets: the disk is read once. A file that the manifest does not
name is refused as well, for nothing vouches for it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from kinema_core.errors import BundleError

FORMAT_VERSION: Final = 1
MANIFEST_FILE: Final = "manifest.json"
ONNX_FILE: Final = "model.onnx"
INT8_ONNX_FILE: Final = "model.int8.onnx"
"""The same model, quantized: convolutions in 8 bits between QuantizeLinear and DequantizeLinear; may be absent."""
CARD_FILE: Final = "MODEL_CARD.md"
MAX_BUNDLE_BYTES: Final = 40_000_000
MAX_MANIFEST_BYTES: Final = 1_000_000
NORMALIZATION: Final = "inputs are L* 0..100, outputs ab in Lab units; scaling is inside the ONNX"

PACKAGED_BUNDLES: Final = Path(__file__).parent / "bundles"
DEFAULT_BUNDLE: Final = PACKAGED_BUNDLES / "default"
"""The model that ships with Kinema."""

_PLAIN_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODEL_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says about itself.

    Raises:
        BundleError: a value has the wrong type or is out of its range.
    """

    name: str
    """Lower-case letters, digits, `.`, `_` and `-`: it is what clients ask for."""
    version: str
    recipe: str
    """The recipe that trained the model."""
    data: str
    """What it was trained on, in a sentence; may be empty."""
    licence: str
    """Of the weights, as an SPDX expression."""
    num_parameters: int
    created: str
    """ISO 8601 date, or date and time."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Score by name, on the validation set that the model card names."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256, 64 lower-case hex digits, of every other file of the folder by its name. `write_bundle` fills it in."""
    size_multiple: int = 32
    """The model takes heights and widths that are multiples of this, in pixels."""
    working_size: int = 256
    """The model is at its best on pictures of about this many pixels squared."""
    output_stride: int = 2
    """Height and width of the model's ab are those of its input divided by this."""
    normalization: str = NORMALIZATION
    """For people and other programs: how the numbers that go in and come out are to be read."""

    def __post_init__(self) -> None:
        for key in ("name", "version", "recipe", "data", "licence", "created", "normalization"):
            _require(isinstance(getattr(self, key), str), key, "must be text", getattr(self, key))
        for key in ("version", "recipe", "licence", "normalization"):
            _require(bool(getattr(self, key).strip()), key, "must not be empty", getattr(self, key))
        _require(_MODEL_NAME.fullmatch(self.name), "name", "must be of a-z, 0-9, '.', '_' and '-'", self.name)
        _require(_is_iso_time(self.created), "created", "must be an ISO 8601 date", self.created)
        for key in ("num_parameters", "size_multiple", "working_size", "output_stride"):
            value = getattr(self, key)
            _require(type(value) is int and value > 0, key, "must be a positive whole number", value)
        _require(self.working_size % self.size_multiple == 0, "working_size",
                 f"must be a multiple of size_multiple ({self.size_multiple})", self.working_size)  # fmt: skip
        _require(self.size_multiple % self.output_stride == 0, "output_stride",
                 f"must divide size_multiple ({self.size_multiple})", self.output_stride)  # fmt: skip
        _check_scores(self.scores)
        _check_files(self.files)


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A model whose every file has the digest that its manifest states."""

    path: Path
    manifest: Manifest
    digest: str
    """SHA-256 of the manifest's bytes, 64 hex digits. The manifest holds all other digests, so this names the model."""
    onnx: bytes = field(repr=False)
    """The content of `model.onnx`, as hashed."""
    int8_onnx: bytes | None = field(default=None, repr=False)
    """The content of `model.int8.onnx`, as hashed; None where the bundle has none."""

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms in which the bundle holds its model: "f32", and "int8" where there is one."""
        return ("f32",) if self.int8_onnx is None else ("f32", "int8")


def load_bundle(path: str | os.PathLike[str] | None = None) -> Bundle:
    """Read and verify the bundle in folder `path`, or the default one.

    Raises:
        BundleError: a file is missing, not named by the manifest, altered or too large, or the manifest is not
            understood. The message names the file.
    """
    folder = Path(path) if path is not None else DEFAULT_BUNDLE
    with _as_bundle_errors(folder):
        if not folder.is_dir():
            raise BundleError(f"no model bundle at {folder}: there must be a folder with {MANIFEST_FILE} in it")
        manifest_bytes = _read(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
        try:
            manifest = parse_manifest(manifest_bytes)
        except BundleError as err:
            raise BundleError(f"{folder / MANIFEST_FILE}: {err}") from err
        contents = _read_verified(folder, manifest)
    digest = hashlib.sha256(manifest_bytes).hexdigest()
    return Bundle(folder, manifest, digest, contents[ONNX_FILE], contents.get(INT8_ONNX_FILE))


def list_bundles(folder: Path = PACKAGED_BUNDLES) -> list[Path]:
    """List the bundles in `folder`, by default those that come with Kinema, in the order of their names; unverified."""
    return sorted(manifest.parent for manifest in folder.glob(f"[!.]*/{MANIFEST_FILE}"))


def write_bundle(
    folder: str | os.PathLike[str], onnx: bytes, manifest: Manifest, model_card: str, *,
    int8_onnx: bytes | None = None, overwrite: bool = False,
) -> Bundle:  # fmt: skip
    """Write a bundle, all of it or nothing, and return it as read back; `manifest.files` is filled in here.

    Raises:
        BundleError: the folder is there already and `overwrite` is False, the bundle is larger than MAX_BUNDLE_BYTES,
            or the disk refuses.
    """
    folder = Path(folder)
    contents = {ONNX_FILE: onnx, CARD_FILE: model_card.encode()}
    if int8_onnx is not None:
        contents[INT8_ONNX_FILE] = int8_onnx
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    contents[MANIFEST_FILE] = _manifest_bytes(dataclasses.replace(manifest, files=digests))
    num_bytes = sum(map(len, contents.values()))
    if num_bytes > MAX_BUNDLE_BYTES:
        raise BundleError(f"a bundle holds at most {MAX_BUNDLE_BYTES:,} bytes, {folder} would have {num_bytes:,}")
    if folder.exists() and not overwrite:
        raise BundleError(f"{folder} is there already; remove it, choose another folder or ask to overwrite it")
    with _as_bundle_errors(folder):
        _write_folder(folder, contents)
    return load_bundle(folder)


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest that `text` (JSON, UTF-8) states.

    Raises:
        BundleError: not JSON, an unknown format version, a key too few or too many, a wrong type or range.
    """
    try:
        record = json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as err:  # not UTF-8 is a ValueError, too
        raise BundleError(f"is not JSON: {err}") from err
    if not isinstance(record, dict):
        raise BundleError(f"must be a JSON object, got {type(record).__name__}")
    found = record.pop("format_version", None)
    if type(found) is not int or found != FORMAT_VERSION:
        raise BundleError(f"format_version must be {FORMAT_VERSION}, got {found!r}; a newer Kinema may read it")
    known = {f.name for f in dataclasses.fields(Manifest)}
    if missing := sorted(known - record.keys()):
        raise BundleError(f"lacks {', '.join(missing)}")
    if unknown := sorted(record.keys() - known):
        raise BundleError(f"has unknown keys: {', '.join(unknown)}")
    manifest = Manifest(**record)
    if missing := sorted({ONNX_FILE, CARD_FILE} - manifest.files.keys()):
        raise BundleError(f"files must name {', '.join(missing)}")
    return manifest


def _read_verified(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    present = {entry.name for entry in folder.iterdir()} - {MANIFEST_FILE}
    if missing := sorted(manifest.files.keys() - present):
        raise BundleError(f"{folder} lacks {', '.join(missing)}, which {MANIFEST_FILE} names; get the bundle again")
    if extra := sorted(present - manifest.files.keys()):
        raise BundleError(f"{folder} holds {', '.join(extra)}, which {MANIFEST_FILE} does not name; remove it")
    contents: dict[str, bytes] = {}
    for name, expected in manifest.files.items():
        contents[name] = _read(folder / name, MAX_BUNDLE_BYTES - sum(map(len, contents.values())))
        actual = hashlib.sha256(contents[name]).hexdigest()
        if actual != expected:
            raise BundleError(
                f"{folder / name} is not the file that {MANIFEST_FILE} names: expected SHA-256 {expected}, "
                f"found {actual}; get the bundle again"
            )
    return contents


def _read(path: Path, max_bytes: int) -> bytes:
    if not path.is_file():  # a pipe would block for ever
        raise BundleError(f"{path} is missing or not a plain file")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BundleError(f"{path} is too large: a bundle holds at most {MAX_BUNDLE_BYTES:,} bytes in all, "
                          f"its manifest {MAX_MANIFEST_BYTES:,}")  # fmt: skip
    return content


def _manifest_bytes(manifest: Manifest) -> bytes:
    record = {"format_version": FORMAT_VERSION} | {
        f.name: getattr(manifest, f.name) for f in dataclasses.fields(manifest)
    }
    return (json.dumps(record, indent=2, ensure_ascii=False, default=dict) + "\n").encode()


def _write_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write `contents` beside `folder`, then put it in its place by a rename."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unique = secrets.token_hex(4)
    written = folder.with_name(f".{folder.name}.{unique}.new")
    replaced = folder.with_name(f".{folder.name}.{unique}.old")
    try:
        written.mkdir()
        for name, content in contents.items():
            with (written / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        if folder.exists():
            folder.rename(replaced)  # a folder cannot be renamed onto one that holds files
        try:
            written.rename(folder)
        except OSError:
            if replaced.exists():
                replaced.rename(folder)
            raise
    finally:
        shutil.rmtree(written, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(replaced, ignore_errors=True)


@contextlib.contextmanager
def _as_bundle_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise BundleError(f"{folder}: {err}") from err


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return record


def _check_scores(scores: object) -> None:
    _require(isinstance(scores, Mapping), "scores", "must be an object of numbers", scores)
    assert isinstance(scores, Mapping)
    for name, value in scores.items():
        is_number = isinstance(name, str) and type(value) in {int, float} and -1e300 <= value <= 1e300
        _require(is_number, f"scores.{name}", "must be a finite number", value)


def _check_files(files: object) -> None:
    _require(isinstance(files, Mapping), "files", "must be an object of digests by file name", files)
    assert isinstance(files, Mapping)
    for name, digest in files.items():
        is_plain = isinstance(name, str) and _PLAIN_FILE_NAME.fullmatch(name) and name != MANIFEST_FILE
        _require(is_plain, "files", f"must name plain files of the folder other than {MANIFEST_FILE}", name)
        is_digest = isinstance(digest, str) and _SHA256.fullmatch(digest)
        _require(is_digest, f"files.{name}", "must be 64 lower-case hex digits", digest)


def _is_iso_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _require(is_met: object, key: str, rule: str, value: object) -> None:
    if not is_met:
        raise BundleError(f"{key} {rule}, got {value!r}")
