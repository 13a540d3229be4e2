"""The runs, one file each; a file's docstring states its source, command, hardware, time and score."""

from importlib import import_module

from kinema_core.errors import InvalidInputError
from kinema_trainer.recipes.recipe import Recipe

RECIPE_NAMES = ("default", "cwgan_gp_resunet", "pix2pix_cifar10", "attention_unet_perceptual")


def load_recipe(name: str) -> Recipe:
    """Return the recipe called `name`.

    Raises:
        InvalidInputError: there is none of that name.
    """
    if name not in RECIPE_NAMES:
        raise InvalidInputError("recipe", f"must be one of {', '.join(RECIPE_NAMES)}, got {name!r}")
    recipe: Recipe = import_module(f"kinema_trainer.recipes.{name}").RECIPE
    return recipe
