"""Training runs."""

import csv
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from kinema_core.errors import InvalidInputError
from kinema_trainer.export.export import export_bundle
from kinema_trainer.export.labels import Labels
from kinema_trainer.losses.colourfulness import ColourfulnessConfig
from kinema_trainer.recipes.recipe import Recipe, Stage, override
from kinema_trainer.training.callbacks import End, Progress
from kinema_trainer.training.checkpoints import load_trained_network, read_checkpoint
from kinema_trainer.training.colorization import Colorization
from kinema_trainer.training.optimizers import learning_rate_factor
from kinema_trainer.training.run import Machine, Result, train
from tests.trainer.networks import random_lightness, write_lively_checkpoint
from tests.trainer.photos import encode_jpeg, make_photo, write_photos
from tests.trainer.recipes import TINY, TINY_GAN, TINY_WGAN

HERE = Machine(accelerator="cpu", num_workers=0)
STEP_BY_STEP = replace(HERE, max_minutes=0)
"""Stops behind each step."""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "val").mkdir(parents=True)
    write_photos(folder, 5)
    (folder / "val" / "100.jpg").write_bytes(encode_jpeg(make_photo(100)))
    return folder


@pytest.fixture
def run(photos: Path, tmp_path: Path) -> Callable[..., Result]:
    def run(recipe: Recipe, out: str = "run", machine: Machine = HERE, **kwargs: object) -> Result:
        return train(recipe, data=photos, out=tmp_path / out, machine=machine, **kwargs)  # type: ignore[arg-type]  # passed through

    return run


def state_of(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Every number that a checkpoint holds."""
    found: dict[str, torch.Tensor] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, torch.Tensor):
            found[path] = value
        elif isinstance(value, dict | list):
            children = value.items() if isinstance(value, dict) else enumerate(value)
            for key, child in children:
                walk(child, f"{path}/{key}")
        elif isinstance(value, int | float):
            found[path] = torch.tensor(value)

    walk(read_checkpoint(checkpoint), "")
    return found


def assert_same_bits(one: Path, other: Path) -> None:
    expected, found = state_of(one), state_of(other)
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []


@pytest.mark.parametrize("recipe", [TINY, TINY_WGAN, TINY_GAN], ids=lambda recipe: recipe.name)
def test_a_run_resumed_behind_each_step_gives_the_bits_of_an_uninterrupted_one(
    recipe: Recipe, run: Callable[..., Result]
) -> None:
    whole = run(recipe, "whole")

    parts = run(recipe, "parts", STEP_BY_STEP)
    while parts.step < recipe.max_steps:
        assert parts.end is End.OUT_OF_TIME
        parts = run(recipe, "parts", STEP_BY_STEP, resume=True)

    assert_same_bits(whole.checkpoint, parts.checkpoint)


def test_a_run_killed_at_any_time_goes_on_to_the_bits_of_an_uninterrupted_one(
    photos: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    """Kill -9 falls behind a random step: in the next one, in the loader, or while the checkpoint is written."""
    long = replace(TINY_WGAN, stages=(Stage("generator", 10, 32), Stage("critic", 5, 32), Stage("adversarial", 85, 32)))
    out = tmp_path / "killed"
    program = (
        "import sys; from pathlib import Path; from dataclasses import replace\n"
        "from kinema_trainer.recipes.recipe import Stage; from kinema_trainer.training.run import Machine, train\n"
        "from tests.trainer.recipes import TINY_WGAN\n"
        "long = replace(TINY_WGAN, stages=(Stage('generator', 10, 32), Stage('critic', 5, 32),"
        " Stage('adversarial', 85, 32)))\n"
        "machine = Machine(accelerator='cpu', num_workers=1, checkpoint_seconds=0)\n"
        "train(long, data=Path(sys.argv[1]), out=Path(sys.argv[2]), machine=machine,"
        " on_progress=lambda at: print(at.step, flush=True))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, photos, out], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as victim:
        assert victim.stdout is not None
        for _ in range(random.randrange(1, 80)):  # noqa: S311  # any step will do
            victim.stdout.readline()
        victim.kill()

    resumed = run(long, "killed", resume=True)

    assert 0 < read_checkpoint(out / "last.pt")["step"] == long.max_steps == resumed.step
    assert_same_bits(run(long, "whole").checkpoint, out / "last.pt")


def test_accumulating_gradients_changes_nothing_but_memory(run: Callable[..., Result]) -> None:
    plain = replace(TINY_WGAN, batch_size=4, stages=(Stage("generator", 3, 32),))
    plain = override(plain, ["network.dropout=0"])

    one = run(plain, "one")
    two = run(replace(plain, accumulate=2), "two")

    expected, found = (load_trained_network(result.checkpoint).network.state_dict() for result in (one, two))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-4, rtol=0, msg=name)  # Adam's first steps are signs


@pytest.mark.parametrize("recipe", [TINY, TINY_WGAN, TINY_GAN], ids=lambda recipe: recipe.name)
def test_bf16_trains_too(recipe: Recipe, run: Callable[..., Result]) -> None:
    result = run(replace(recipe, precision="bf16-mixed"))

    weights = load_trained_network(result.checkpoint).network.state_dict()
    assert all(value.isfinite().all() for value in weights.values())


def test_the_critic_stage_leaves_the_generator_alone_and_trains_the_critic(run: Callable[..., Result]) -> None:
    first = replace(TINY_WGAN, stages=(Stage("generator", 1, 32), Stage("critic", 3, 32)))

    before = read_checkpoint(run(first, "run", STEP_BY_STEP).checkpoint)
    after = read_checkpoint(run(first, resume=True).checkpoint)

    for part in ("network", "average"):
        assert all(torch.equal(value, after[part][name]) for name, value in before[part].items())
    assert any(not torch.equal(value, after["critic"][name]) for name, value in before["critic"].items())


def test_the_generator_moves_once_in_so_many_critic_steps(run: Callable[..., Result]) -> None:
    recipe = replace(TINY_WGAN, stages=(Stage("adversarial", 4, 32),))  # two critic steps to one of the generator
    kept = []

    result = run(recipe, "run", STEP_BY_STEP)
    kept.append(read_checkpoint(result.checkpoint)["network"])
    while result.step < recipe.max_steps:
        result = run(recipe, "run", STEP_BY_STEP, resume=True)
        kept.append(read_checkpoint(result.checkpoint)["network"])

    def has_moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
        return any(not torch.equal(one[name], other[name]) for name in one)

    assert [has_moved(one, other) for one, other in pairwise(kept)] == [True, False, True]


def test_the_record_has_losses_scores_and_what_the_players_say(run: Callable[..., Result], tmp_path: Path) -> None:
    seen: list[Progress] = []
    run(replace(TINY_WGAN, score_every=4), on_progress=seen.append)

    with (tmp_path / "run" / "log.csv").open() as stream:
        first, last = csv.DictReader(stream)

    assert (first["step"], first["stage"], last["step"], last["stage"]) == ("4", "critic", "8", "adversarial")
    assert first["pixel"]
    for name in ("wasserstein", "gradient_norm", "critic_loss", "pixel", "adversarial", "ab_psnr", "chroma_part"):
        assert last[name], name
    assert [at.step for at in seen] == list(range(1, 9))
    assert seen[-1].best_ab_psnr is not None
    assert sorted(p.name for p in (tmp_path / "run" / "grids").iterdir()) == ["step-0000004.jpg", "step-0000008.jpg"]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_resumed_record_has_every_row_once(run: Callable[..., Result], tmp_path: Path) -> None:
    result = run(TINY, machine=STEP_BY_STEP)
    while result.step < TINY.max_steps:
        result = run(TINY, machine=STEP_BY_STEP, resume=True)

    with (tmp_path / "run" / "log.csv").open() as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["3", "6"]


def test_the_best_checkpoint_and_those_of_every_few_epochs_are_kept_and_load(
    run: Callable[..., Result], tmp_path: Path
) -> None:
    run(replace(TINY, keep_every_epochs=1))  # five photographs, two a step

    kept = sorted(path.name for path in (tmp_path / "run").glob("*.pt"))

    assert kept == ["average.pt", "best.pt", "epoch-0001.pt", "epoch-0002.pt", "last.pt"]
    assert load_trained_network(tmp_path / "run" / "epoch-0001.pt").step == 3
    assert load_trained_network(tmp_path / "run" / "best.pt").step in {3, 6}


def test_a_run_without_better_scores_ends_early(run: Callable[..., Result]) -> None:
    frozen = replace(TINY, patience=2, score_every=1, stages=(Stage("generator", 50, 32),))
    frozen = override(frozen, ["optimizer.learning_rate=0", "optimizer.pretrained_rate=0", "ema_decay=0"])

    result = run(frozen)

    assert result.end is End.OUT_OF_PATIENCE
    assert result.step < 50


def test_a_run_can_start_from_another_ones_generator(run: Callable[..., Result]) -> None:
    pixels = run(replace(TINY_WGAN, stages=(Stage("generator", 3, 32),)), "pixels")
    critic_only = replace(TINY_WGAN, stages=(Stage("critic", 1, 32),))

    result = run(critic_only, "players", start_from=pixels.checkpoint)

    expected = load_trained_network(pixels.checkpoint).network.state_dict()
    found = load_trained_network(result.checkpoint).network.state_dict()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_a_run_can_start_from_an_exported_model(run: Callable[..., Result], tmp_path: Path) -> None:
    checkpoint = write_lively_checkpoint(tmp_path / "lively.pt")
    bundle = export_bundle(checkpoint, tmp_path / "bundle", Labels(name="tiny", data="none", licence="MIT"))
    still = override(TINY, ["optimizer.learning_rate=0", "optimizer.pretrained_rate=0"]).with_max_steps(2)

    result = run(still, start_from=bundle.path)

    expected, found = (load_trained_network(path).network for path in (checkpoint, result.checkpoint))
    with torch.no_grad():
        ab = expected(random_lightness())
        assert ab.abs().max() > 1
        # The statistics of norms moved a little: they are of the run's own pictures.
        assert (found(random_lightness()) - ab).abs().mean() < 0.2 * ab.abs().mean()


def test_a_run_that_asks_for_colour_takes_down_what_it_has(run: Callable[..., Result]) -> None:
    asking = replace(TINY, colourfulness=ColourfulnessConfig(part=0.9, weight=10, pool=2)).with_max_steps(2)

    result = run(asking)

    rows = list(csv.DictReader((result.checkpoint.parent / "log.csv").read_text().splitlines()))
    assert float(rows[-1]["shortfall"]) == pytest.approx(10 * (0.9 - float(rows[-1]["colourfulness"])) ** 2, rel=0.5)


def test_a_run_is_not_written_over_without_being_asked_to(run: Callable[..., Result]) -> None:
    short = TINY.with_max_steps(2)
    run(short)

    with pytest.raises(InvalidInputError, match="--resume"):
        run(short)


def test_a_run_goes_on_with_the_recipe_it_began_with(run: Callable[..., Result]) -> None:
    run(TINY, machine=STEP_BY_STEP)

    with pytest.raises(InvalidInputError, match=r"pixel\.weight: 110\.0, 55\.0"):
        run(override(TINY, ["pixel.weight=55"]), resume=True)


def test_a_run_goes_on_with_the_photographs_it_began_with(run: Callable[..., Result], photos: Path) -> None:
    run(TINY, machine=STEP_BY_STEP)
    (photos / "new.jpg").write_bytes(encode_jpeg(make_photo(50)))

    with pytest.raises(InvalidInputError, match="photographs are not those that the run began with"):
        run(TINY, resume=True)


def test_pictures_of_a_size_that_the_network_does_not_take_are_refused(run: Callable[..., Result]) -> None:
    with pytest.raises(InvalidInputError, match="crop_size: must be a multiple of 32 for this network, got 48"):
        run(replace(TINY, stages=(Stage("generator", 1, 48),)))


def test_a_run_that_is_out_of_patience_stays_so(run: Callable[..., Result]) -> None:
    frozen = replace(TINY, patience=1, score_every=1, stages=(Stage("generator", 50, 32),))
    frozen = override(frozen, ["optimizer.learning_rate=0", "optimizer.pretrained_rate=0", "ema_decay=0"])
    first = run(frozen)

    again = run(frozen, resume=True)

    assert (again.end, again.step) == (End.OUT_OF_PATIENCE, first.step)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_critics_turn_leaves_the_generators_gradients_whole(precision: str) -> None:
    """Weights cast in a pass without gradients must not be met again in the pass that needs them."""
    module = Colorization(override(TINY_WGAN, [f"precision={precision}"]))
    lightness, ab = torch.rand(2, 1, 32, 32) * 100, torch.rand(2, 2, 32, 32) * 80 - 40

    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
        module._critic_loss(lightness, ab)
        loss = module._generator_loss(lightness, ab, is_adversarial=True)
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch

    assert [name for name, weight in module.network.named_parameters() if weight.grad is None] == []


def test_a_kept_checkpoint_is_for_export_alone(run: Callable[..., Result], tmp_path: Path) -> None:
    run(TINY)
    (tmp_path / "run" / "best.pt").rename(tmp_path / "run" / "last.pt")

    with pytest.raises(InvalidInputError, match="holds the average alone"):
        run(TINY, resume=True)


def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_bytes(b"not a checkpoint")

    with pytest.raises(InvalidInputError, match=r"notes\.pt is not a checkpoint"):
        load_trained_network(tmp_path / "notes.pt")


def test_a_batch_that_cannot_be_shared_out_is_refused(run: Callable[..., Result]) -> None:
    with pytest.raises(InvalidInputError, match=r"multiple of devices x accumulate \(3 x 1\), got 2"):
        run(TINY, machine=replace(HERE, devices=3))


@pytest.mark.parametrize("recipe", [TINY, TINY_WGAN], ids=lambda recipe: recipe.name)
def test_one_batch_can_be_learnt_by_heart(recipe: Recipe) -> None:
    """The usual check that gradients reach where they should."""
    module = Colorization(override(recipe, ["pixel.chroma_weight=0"]))
    optimizer = torch.optim.Adam(module.network.parameters(), 3e-3)
    generator = torch.Generator().manual_seed(1)
    stride = module.network.output_stride
    lightness = torch.rand(2, 1, 64, 64, generator=generator) * 100
    ab = torch.rand(2, 2, 2, 2, generator=generator).mul(80).sub(40)
    ab = ab.repeat_interleave(32 // stride, 2).repeat_interleave(32 // stride, 3)
    losses = []

    for _ in range(80):
        loss = recipe.pixel.loss(module.network(lightness), ab)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.5 * losses[0]


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    config = replace(TINY.optimizer, warmup_steps=10, decay_steps=20)
    factors = [learning_rate_factor(step, 100, config) for step in range(100)]

    assert factors[:10] == sorted(factors[:10])
    assert set(factors[9:81]) == {1.0}
    assert factors[80:] == sorted(factors[80:], reverse=True)
    assert factors[-1] == pytest.approx(1 / 20)
