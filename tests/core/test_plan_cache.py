"""A cache gives back what was put in, and nothing that somebody else may have put there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema_core.engines.plan_cache import CacheKey, PlanCache, default_folder

KEY = CacheKey("plan", {"model": "m", "gpu": "g"})


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "engines")


def path_of(cache: PlanCache, key: CacheKey = KEY) -> Path:
    return cache.folder / key.file_name


def test_what_was_kept_comes_back_under_its_own_key_alone(cache: PlanCache) -> None:
    cache.save(KEY, b"the plan")

    assert cache.load(KEY) == b"the plan"
    assert cache.load(CacheKey("kernels", KEY.fields)) is None
    assert cache.load(CacheKey("plan", {**KEY.fields, "gpu": "h"})) is None
    assert PlanCache(cache.folder).load(KEY) == b"the plan"


def test_the_folder_and_the_files_are_closed_to_others(cache: PlanCache) -> None:
    cache.save(KEY, b"the plan")

    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in cache.folder.iterdir()} == {0o600}


def test_nothing_unfinished_is_left(cache: PlanCache) -> None:
    cache.save(KEY, b"one")
    cache.save(KEY, b"two")

    assert cache.load(KEY) == b"two"
    assert len(list(cache.folder.iterdir())) == 2  # it and the code's key


@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
@settings(max_examples=60)
def test_a_file_with_any_byte_changed_is_not_used(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    cache = PlanCache(tmp_path_factory.mktemp("cache") / "engines")
    cache.save(KEY, b"p" * 50)
    content = bytearray(path_of(cache).read_bytes())
    content[position % len(content)] ^= flip
    path_of(cache).write_bytes(content)

    assert cache.load(KEY) is None


@pytest.mark.parametrize("length", [0, 10, 60])
def test_a_file_that_was_cut_off_is_not_used(cache: PlanCache, length: int) -> None:
    cache.save(KEY, b"p" * 50)
    path_of(cache).write_bytes(path_of(cache).read_bytes()[:length])

    assert cache.load(KEY) is None


def test_a_plan_from_another_cache_is_not_used(
    cache: PlanCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = PlanCache(tmp_path / "elsewhere")
    other.save(KEY, b"a program of a stranger's")
    cache.save(KEY, b"the plan")
    path_of(cache).write_bytes(path_of(other).read_bytes())

    assert cache.load(KEY) is None
    assert [(r.getMessage(), vars(r)["reason"]) for r in caplog.records] == [
        ("plan_cache_not_used", "it is damaged or from elsewhere")
    ]


def test_a_plan_under_another_name_is_not_used(cache: PlanCache) -> None:
    other = CacheKey("plan", {"model": "other"})
    cache.save(other, b"the other's plan")
    path_of(cache, other).rename(path_of(cache))

    assert cache.load(KEY) is None


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.parent.chmod(0o750),
        lambda path: path.chmod(0o620),
        lambda path: (path.rename(path.with_suffix(".real")), path.symlink_to(path.with_suffix(".real"))),
        make_pipe,
        lambda path: (path.parent / "hmac-key").write_bytes(b"short"),
    ],
    ids=["folder open", "file writable", "link", "pipe", "key damaged"],
)
def test_what_others_could_have_written_is_not_used(
    cache: PlanCache, spoil: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    cache.save(KEY, b"the plan")
    spoil(path_of(cache))

    assert cache.load(KEY) is None
    assert [r.getMessage() for r in caplog.records] == ["plan_cache_not_used"]


def test_another_users_folder_is_not_used(
    cache: PlanCache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache.save(KEY, b"the plan")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)

    assert cache.load(KEY) is None
    cache.save(KEY, b"another")

    assert [r.getMessage() for r in caplog.records] == ["plan_cache_not_used", "plan_not_kept"]


def test_a_cache_that_cannot_be_written_costs_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = PlanCache(tmp_path / "file" / "engines")

    cache.save(KEY, b"the plan")

    assert cache.load(KEY) is None
    assert {r.getMessage() for r in caplog.records} == {"plan_not_kept", "plan_cache_not_used"}


def test_the_folder_is_below_the_users_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "kinema" / "engines"

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the specification says to ignore
    assert default_folder() == Path.home() / ".cache" / "kinema" / "engines"
