"""Where photographs come from."""

from pathlib import Path

import numpy as np
import pytest

from kinema_core.errors import InvalidInputError, MediaError
from kinema_trainer.data.sources import decode_photo, read_shards, training_photos, validation_photos
from tests.trainer.photos import encode_jpeg, make_photo, write_npz, write_photos, write_tar


def photo(seed: int) -> bytes:
    return encode_jpeg(make_photo(seed, 32, 32))


def test_each_tar_is_trained_on_but_those_of_validation(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-00000.tar", {"a/1.jpg": photo(1), "a/1.txt": b"a caption"})
    write_tar(tmp_path / "train-00001.tar", {"b/2.jpg": photo(2)})
    write_tar(tmp_path / "val-00000.tar", {"c/3.jpg": photo(3)})

    training, validation = training_photos(tmp_path), validation_photos(tmp_path)

    assert training == {"a/1.jpg": photo(1), "b/2.jpg": photo(2)}
    assert validation == {"c/3.jpg": photo(3)}


def test_a_validation_shard_is_not_trained_on_even_when_it_is_asked_for(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "val-00000.tar", {"c/3.jpg": photo(3)})

    assert validation_photos(shard) == {"c/3.jpg": photo(3)}
    with pytest.raises(InvalidInputError, match="none to train on"):
        training_photos(shard)


def test_photographs_in_a_folder_val_are_held_out(tmp_path: Path) -> None:
    write_photos(tmp_path, 2)
    (tmp_path / "val").mkdir()
    write_photos(tmp_path / "val", 1)

    assert sorted(training_photos(tmp_path)) == ["0.jpg", "1.jpg"]
    assert sorted(validation_photos(tmp_path)) == ["val/0.jpg"]


def test_a_plain_folder_holds_nothing_out(tmp_path: Path) -> None:
    assert validation_photos(write_photos(tmp_path, 1)) == {}


def test_cifar_is_read_from_its_two_parts(tmp_path: Path) -> None:
    write_npz(tmp_path / "train.npz", [photo(1), photo(2)])
    write_npz(tmp_path / "test.npz", [photo(3)])

    training, validation = training_photos(tmp_path), validation_photos(tmp_path)

    assert training == {"train-00000.jpg": photo(1), "train-00001.jpg": photo(2)}
    assert validation == {"test-00000.jpg": photo(3)}
    assert len(read_shards(tmp_path)) == 3


def test_photographs_of_one_name_in_two_shards_are_both_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", {"same.jpg": photo(1)})
    write_tar(tmp_path / "1.tar", {"same.jpg": photo(2)})

    assert read_shards(tmp_path) == {"same.jpg": photo(1), "1.tar/same.jpg": photo(2)}


@pytest.mark.parametrize("name", ["broken.tar", "broken.npz", "list.tsv"])
def test_a_file_that_holds_no_photographs_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"neither the one nor the other")

    with pytest.raises(InvalidInputError, match=name):
        read_shards(tmp_path / name)


def test_an_npz_file_of_other_arrays_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", pixels=np.zeros(3))

    with pytest.raises(InvalidInputError, match="no arrays `jpeg` and `offsets`"):
        read_shards(tmp_path)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="photographs: there are none under"):
        read_shards(tmp_path)
    with pytest.raises(InvalidInputError, match="does not exist"):
        read_shards(tmp_path / "nowhere")


@pytest.mark.parametrize("encoded", [b"", b"not a picture", photo(1)[:300]])
def test_a_damaged_photograph_is_refused_by_name(encoded: bytes) -> None:
    with pytest.raises(MediaError, match=r"shore\.jpg"):
        decode_photo("shore.jpg", encoded)
