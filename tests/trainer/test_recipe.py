"""What a recipe is."""

from importlib import import_module

import pytest

from kinema_core.errors import InvalidInputError
from kinema_trainer.recipes import RECIPE_NAMES, load_recipe
from kinema_trainer.recipes.recipe import differences, override, recipe_from_json, recipe_to_json
from tests.trainer.recipes import TINY, TINY_WGAN


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_every_recipe_goes_into_json_and_back(name: str) -> None:
    recipe = load_recipe(name)

    assert recipe.name == name
    assert recipe_from_json(recipe_to_json(recipe)) == recipe


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_every_recipe_states_its_source_command_hardware_time_and_score(name: str) -> None:
    docstring = import_module(f"kinema_trainer.recipes.{name}").__doc__ or ""

    for stated in ("Source:", f"kinema train {name}", "Hardware and time:", "Score:"):
        assert stated in docstring
    assert "SCORE" not in docstring
    assert "HARDWARE" not in docstring


def test_an_unknown_recipe_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match="must be one of default, cwgan_gp_resunet"):
        load_recipe("nonsense")


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("network.is_residual=false", "is_residual", False),
        ("network.has_self_attention=true", "has_self_attention", True),
    ],
)
def test_a_setting_changes_the_network(setting: str, key: str, value: object) -> None:
    changed = override(TINY_WGAN, [setting])

    assert getattr(changed.network, key) == value
    assert len(differences(TINY_WGAN, changed)) == 1


def test_settings_change_weights_betas_steps_and_losses() -> None:
    changed = override(
        TINY_WGAN,
        ["pixel.weight=10", "adversarial.penalty_weight=5", "adversarial.betas=[0,0.9]", "adversarial.critic_steps=3",
         "optimizer.betas=[0,0.9]", 'perceptual={"weight": 0.5}', "stages.0.num_steps=7"],
    )  # fmt: skip

    assert changed.adversarial is not None
    assert changed.perceptual is not None
    assert (changed.pixel.weight, changed.adversarial.penalty_weight, changed.adversarial.critic_steps) == (10, 5, 3)
    assert [*changed.adversarial.betas, *changed.optimizer.betas] == [0, 0.9, 0, 0.9]
    assert (changed.perceptual.weight, changed.stages[0].num_steps) == (0.5, 7)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("network.depth=3", "'network.depth' is no setting of this recipe; it has: .*network.is_residual"),
        ("nonsense", "must be KEY=VALUE, got 'nonsense'"),
        ("batch_size=many", "batch_size: .*integer"),
        ("adversarial.critic_steps=0", "critic_steps must be at least 1, got 0"),
        ("adversarial=null", "adversarial stage needs `adversarial`"),
        ("accumulate=0", "accumulate must be at least 1, got 0"),
        ("score_every=0", "score_every must be at least 1"),
        ("ema_decay=2", "ema_decay must be at least 0 and below 1, got 2"),
        ('perceptual={"wieght": 0.5}', r"has no perceptual\.wieght; it has: .*perceptual\.weight"),
        ("accumulate=3", r"accumulate must divide batch_size \(2\), got 3"),
        ("stages.0.num_steps=0", "at least one step"),
        ("precision=fp8", "precision: .*32-true"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(setting: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        override(TINY_WGAN, [setting])


def test_stages_follow_each_other() -> None:
    stages = [(TINY_WGAN.stage_at(step)[0].kind, TINY_WGAN.stage_at(step)[1]) for step in range(8)]

    assert stages == [
        ("generator", 0), ("generator", 1), ("critic", 0), ("critic", 1),
        ("adversarial", 0), ("adversarial", 1), ("adversarial", 2), ("adversarial", 3),
    ]  # fmt: skip
    assert [TINY.crop_size_at(step) for step in range(6)] == [32, 32, 32, 32, 64, 64]


def test_a_shorter_run_keeps_its_proportions() -> None:
    shorter = TINY.with_max_steps(3)

    assert [stage.num_steps for stage in shorter.stages] == [2, 1]
    assert (shorter.optimizer.warmup_steps, shorter.optimizer.decay_steps) == (1, 2)
