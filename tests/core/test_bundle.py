"""A bundle is what its manifest says, to the byte, or it is refused by name."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinema_core import bundle as bundle_module
from kinema_core.bundle import (
    DEFAULT_BUNDLE,
    MAX_BUNDLE_BYTES,
    Manifest,
    list_bundles,
    load_bundle,
    parse_manifest,
    write_bundle,
)
from kinema_core.errors import BundleError
from tests.core.tiny_models import MANIFEST, tiny_bundle

Json = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of an intact bundle; its ONNX file is not one, for nothing here is to parse it."""
    return tiny_bundle(tmp_path / "model", b"the model").path


def change_manifest(folder: Path, change: Callable[[Json], object]) -> None:
    record = json.loads((folder / "manifest.json").read_bytes())
    change(record)
    (folder / "manifest.json").write_text(json.dumps(record))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "model", b"the model", MANIFEST, "# Card\n")

    bundle = load_bundle(tmp_path / "model")

    assert bundle.onnx == b"the model"
    assert (bundle.manifest, bundle.digest, bundle.path) == (written.manifest, written.digest, tmp_path / "model")
    assert dataclasses.replace(bundle.manifest, files={}) == MANIFEST
    assert (tmp_path / "model" / "MODEL_CARD.md").read_text() == "# Card\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_a_bundle_may_hold_its_model_in_int8_as_well(tmp_path: Path) -> None:
    written = write_bundle(tmp_path / "both", b"the model", MANIFEST, "# Card\n", int8_onnx=b"in 8 bits")
    plain = write_bundle(tmp_path / "plain", b"the model", MANIFEST, "# Card\n")

    both = load_bundle(tmp_path / "both")

    assert (both.onnx, both.int8_onnx, both.forms) == (b"the model", b"in 8 bits", ("f32", "int8"))
    assert both.manifest.files["model.int8.onnx"] == hashlib.sha256(b"in 8 bits").hexdigest()
    assert both.digest == written.digest != plain.digest
    assert (plain.int8_onnx, plain.forms) == (None, ("f32",))


def test_an_int8_form_that_was_altered_is_refused(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "both", b"the model", int8_onnx=b"in 8 bits")
    (bundle.path / "model.int8.onnx").write_bytes(b"in 7 bits")

    with pytest.raises(BundleError, match=r"model\.int8\.onnx is not the file"):
        load_bundle(bundle.path)


names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
sentences = st.text(min_size=1, max_size=30).filter(str.strip)


@given(
    manifest=st.builds(
        Manifest,
        name=names,
        version=sentences,
        recipe=sentences,
        data=st.text(max_size=30),
        licence=sentences,
        num_parameters=st.integers(1, 2**40),
        created=st.one_of(st.dates(), st.datetimes()).map(lambda time: time.isoformat()),
        scores=st.dictionaries(st.text(max_size=10), st.floats(-1e300, 1e300)),
        files=st.just({"model.onnx": "0" * 64, "MODEL_CARD.md": "f" * 64}),
        size_multiple=st.just(64),
        working_size=st.integers(1, 10).map(lambda n: 64 * n),
        output_stride=st.sampled_from([1, 2, 4, 64]),
    )
)
def test_every_manifest_survives_its_file(manifest: Manifest) -> None:
    assert parse_manifest(bundle_module._manifest_bytes(manifest)) == manifest


def test_the_digest_is_that_of_the_manifest_which_holds_all_others(folder: Path) -> None:
    manifest_bytes = (folder / "manifest.json").read_bytes()

    bundle = load_bundle(folder)

    assert bundle.digest == hashlib.sha256(manifest_bytes).hexdigest()
    assert bundle.manifest.files["model.onnx"] == hashlib.sha256(b"the model").hexdigest()


def test_models_that_differ_in_one_byte_have_other_digests(tmp_path: Path) -> None:
    assert tiny_bundle(tmp_path / "a", b"model a").digest != tiny_bundle(tmp_path / "b", b"model b").digest


@pytest.mark.parametrize("name", ["model.onnx", "MODEL_CARD.md"])
def test_an_altered_file_is_named_with_both_digests(folder: Path, name: str) -> None:
    expected = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(b"altered")

    with pytest.raises(BundleError) as caught:
        load_bundle(folder)

    assert str(folder / name) in str(caught.value)
    assert f"expected SHA-256 {expected}" in str(caught.value)
    assert f"found {hashlib.sha256(b'altered').hexdigest()}" in str(caught.value)


def test_one_flipped_bit_is_enough(folder: Path) -> None:
    content = bytearray((folder / "model.onnx").read_bytes())
    content[3] ^= 1
    (folder / "model.onnx").write_bytes(content)

    with pytest.raises(BundleError, match=r"model\.onnx"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx", "MODEL_CARD.md"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["model.bin", ".DS_Store", "weights"])
def test_a_file_or_folder_that_the_manifest_does_not_name_is_refused(folder: Path, name: str) -> None:
    (folder / name).mkdir() if name == "weights" else (folder / name).write_bytes(b"")

    with pytest.raises(BundleError, match=f"{name}.*remove it"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["manifest.json", "model.onnx"])
def test_a_pipe_in_place_of_a_file_is_refused_rather_than_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)

    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def test_where_there_is_no_bundle_the_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*nowhere"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["../model.onnx", "/etc/hostname", "a/b", "a\\b", "..", ".", "", ".hidden", "manifest.json", "a\0b"]
)
def test_a_file_name_that_leads_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    change_manifest(folder, lambda record: record["files"].update({name: "0" * 64}))

    with pytest.raises(BundleError, match=r"manifest\.json: files must name plain files of the folder"):
        load_bundle(folder)


def rename_key(old: str, new: str) -> Callable[[Json], object]:
    return lambda record: record.__setitem__(new, record.pop(old))


def set_key(key: str, value: object) -> Callable[[Json], object]:
    return lambda record: record.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_key("format_version", 2), "format_version must be 1, got 2"),
        (set_key("format_version", "1"), "format_version must be 1, got '1'"),
        (set_key("format_version", True), "format_version must be 1, got True"),
        (rename_key("format_version", "version_of_format"), "format_version must be 1, got None"),
        (lambda record: record.pop("licence"), "lacks licence"),
        (rename_key("licence", "license"), "lacks licence"),
        (set_key("colour", "blue"), "has unknown keys: colour"),
        (set_key("name", 5), "name must be text, got 5"),
        (set_key("name", "../up"), "name must be of a-z"),
        (set_key("name", "Default"), "name must be of a-z"),
        (set_key("version", " "), "version must not be empty"),
        (set_key("created", "yesterday"), "created must be an ISO 8601 date"),
        (set_key("num_parameters", 0), "num_parameters must be a positive whole number"),
        (set_key("num_parameters", 1.5), "num_parameters must be a positive whole number"),
        (set_key("size_multiple", True), "size_multiple must be a positive whole number"),
        (set_key("size_multiple", -32), "size_multiple must be a positive whole number"),
        (set_key("working_size", 250), r"working_size must be a multiple of size_multiple \(32\)"),
        (set_key("output_stride", 3), r"output_stride must divide size_multiple \(32\)"),
        (set_key("scores", [1, 2]), "scores must be an object of numbers"),
        (set_key("scores", {"psnr": "high"}), "scores.psnr must be a finite number"),
        (set_key("scores", {"psnr": float("inf")}), "scores.psnr must be a finite number"),
        (set_key("scores", {"psnr": float("nan")}), "scores.psnr must be a finite number"),
        (set_key("scores", {"psnr": 10**400}), "scores.psnr must be a finite number"),
        (set_key("files", None), "files must be an object of digests"),
        (set_key("files", {}), r"files must name MODEL_CARD\.md, model\.onnx"),
        (set_key("files", {"model.onnx": "ABC"}), r"files\.model\.onnx must be 64 lower-case hex digits"),
        (set_key("files", {"model.onnx": 7}), r"files\.model\.onnx must be 64 lower-case hex digits"),
    ],
)
def test_a_manifest_that_is_not_as_it_should_be_is_refused_by_key(
    folder: Path, change: Callable[[Json], object], message: str
) -> None:
    change_manifest(folder, change)

    with pytest.raises(BundleError, match=f"manifest.json: {message}"):
        load_bundle(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"name": "a", "name": "b"}', b"1" * 5000])
def test_a_manifest_that_is_not_json_is_refused(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)

    with pytest.raises(BundleError, match=r"manifest\.json: is not JSON"):
        load_bundle(folder)


@pytest.mark.parametrize("text", [b"[]", b"null", b'"manifest"', b"1"])
def test_a_manifest_that_is_no_object_is_refused(folder: Path, text: bytes) -> None:
    (folder / "manifest.json").write_bytes(text)

    with pytest.raises(BundleError, match="must be a JSON object"):
        load_bundle(folder)


@given(text=st.binary(max_size=200))
def test_no_manifest_whatever_raises_anything_but_a_bundle_error(text: bytes) -> None:
    with pytest.raises(BundleError):
        parse_manifest(text)


def test_a_manifest_of_a_megabyte_is_refused_unparsed(folder: Path) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.write(b" " * 1_000_000)

    with pytest.raises(BundleError, match=r"manifest\.json is too large"):
        load_bundle(folder)


def test_a_bundle_beyond_forty_megabytes_is_neither_written_nor_read(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="at most 40,000,000 bytes"):
        write_bundle(tmp_path / "large", bytes(MAX_BUNDLE_BYTES), MANIFEST, "")
    assert not (tmp_path / "large").exists()

    os.truncate(folder / "model.onnx", MAX_BUNDLE_BYTES + 1)
    with pytest.raises(BundleError, match=r"model\.onnx is too large"):
        load_bundle(folder)


def test_a_bundle_is_overwritten_only_when_asked_for(folder: Path) -> None:
    with pytest.raises(BundleError, match="is there already"):
        write_bundle(folder, b"another model", MANIFEST, "")
    assert load_bundle(folder).onnx == b"the model"

    write_bundle(folder, b"another model", MANIFEST, "", overwrite=True)

    assert load_bundle(folder).onnx == b"another model"
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("num_renames_before", [0, 1])
def test_a_write_that_fails_leaves_the_bundle_that_was_there_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, num_renames_before: int
) -> None:
    rename, calls = Path.rename, 0

    def fail_once(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == num_renames_before + 1:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_once)

    with pytest.raises(BundleError, match="No space left"):
        write_bundle(folder, b"another model", MANIFEST, "", overwrite=True)

    assert load_bundle(folder).onnx == b"the model"
    assert [entry.name for entry in folder.parent.iterdir()] == ["model"]


def test_bundles_are_listed_by_name_and_half_written_ones_are_not(tmp_path: Path) -> None:
    for name in ("second", "first", ".first.1a2b3c4d.new"):
        tiny_bundle(tmp_path / name, b"")
    (tmp_path / "no bundle").mkdir()

    assert list_bundles(tmp_path) == [tmp_path / "first", tmp_path / "second"]


def test_the_default_bundle_ships_intact_and_is_the_one_that_is_loaded() -> None:
    bundle = load_bundle()

    assert bundle.path == DEFAULT_BUNDLE
    assert DEFAULT_BUNDLE in list_bundles()
    assert bundle.manifest.name == "default"
    assert bundle.manifest.scores
