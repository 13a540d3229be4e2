"""Training on a machine without a network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinema_core.errors import InvalidInputError
from kinema_trainer.data.packing import pack_photos
from kinema_trainer.data.sources import training_photos, validation_photos
from tests.trainer.photos import encode_jpeg, make_photo, write_photos

SCRIPT = Path(__file__).parents[2] / "trainer" / "train_offline.sh"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "val").mkdir(parents=True)
    write_photos(folder, 6)
    (folder / "val" / "100.jpg").write_bytes(encode_jpeg(make_photo(100)))
    return folder


def test_packed_photographs_are_the_same_and_no_chunk_is_too_large(photos: Path, tmp_path: Path) -> None:
    chunks = pack_photos(photos, tmp_path / "chunks", max_bytes=32_000)

    assert len(chunks) > 2
    assert max(chunk.stat().st_size for chunk in chunks) <= 32_000
    assert training_photos(tmp_path / "chunks") == training_photos(photos)
    assert list(validation_photos(tmp_path / "chunks").values()) == list(validation_photos(photos).values())


def test_a_photograph_larger_than_a_chunk_is_named(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"\.jpg alone takes"):
        pack_photos(photos, tmp_path / "chunks", max_bytes=11_000)


def test_a_folder_that_holds_something_is_not_packed_into(photos: Path) -> None:
    with pytest.raises(InvalidInputError, match="is not empty"):
        pack_photos(photos, photos, max_bytes=100_000)


def test_a_run_in_slices_gives_checkpoint_metrics_and_bundle(photos: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHON": sys.executable, "KINEMA_WHEELS": "no", "OMP_NUM_THREADS": "1"}
    settings = (
        "network.channels=[8,8,8,8,8]", "batch_size=2", "score_every=1", "score_size=64", "precision=32-true",
        'stages=[{"kind":"generator","num_steps":2,"crop_size":32}]',
    )  # fmt: skip
    options = [part for setting in settings for part in ("--set", setting)]

    def script(*arguments: str | Path) -> str:
        done = subprocess.run(
            [SCRIPT, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    script("pack", photos, tmp_path / "chunks", "1")
    options += ["--num-workers", "0"]
    script("take", "work", "chunks")
    first = script("train", "work", "out", "default", "--max-minutes", "0", *options)
    second = script("train", "work", "out", "default", *options)

    assert "out of time at step 1 of 2" in first
    assert "finished at step 2 of 2" in second
    names = {path.name.split(".part-")[0] for path in (tmp_path / "out").iterdir()}
    assert names == {"best.pt", "bundle.tar", "log.csv", "step-0000001.jpg", "step-0000002.jpg"}
    assert max(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 15 * 2**20
