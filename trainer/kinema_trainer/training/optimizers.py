"""Optimizers, and how the learning rate goes."""

from torch import nn, optim

from kinema_trainer.models.color_network import ColorNetwork
from kinema_trainer.recipes.recipe import AdversarialConfig, OptimizerConfig


def generator_optimizer(network: ColorNetwork, config: OptimizerConfig) -> optim.AdamW:
    """Return AdamW (Loshchilov and Hutter, 2019), which without weight decay is Adam.

    What is pretrained learns at a rate of its own; norms and biases do not decay; what is
    frozen is left out.
    """
    pretrained = {id(p) for p in network.pretrained_parameters()}
    pretrained_rate = config.learning_rate if config.pretrained_rate is None else config.pretrained_rate
    groups = []
    for rate, is_pretrained in ((pretrained_rate, True), (config.learning_rate, False)):
        chosen = [p for p in network.parameters() if p.requires_grad and (id(p) in pretrained) == is_pretrained]
        for decay, is_matrix in ((config.weight_decay, True), (0.0, False)):
            params = [p for p in chosen if (p.ndim > 1) == is_matrix]
            groups.append({"params": params, "lr": rate, "initial_lr": rate, "weight_decay": decay})
    return optim.AdamW([g for g in groups if g["params"]], betas=config.betas, fused=True)


def critic_optimizer(critic: nn.Module, config: AdversarialConfig) -> optim.Adam:
    """Return Adam; its rate goes as the generator's does."""
    group = {"params": list(critic.parameters()), "initial_lr": config.learning_rate}
    return optim.Adam([group], lr=config.learning_rate, betas=config.betas, fused=True)


def learning_rate_factor(step: int, max_steps: int, config: OptimizerConfig) -> float:
    """Return the factor on all rates: a rise, a plateau, a straight fall to zero at the end.

    Source: the "trapezoidal" schedule of Hägele et al., 2024.
    """
    rise = min(1.0, (step + 1) / config.warmup_steps)
    fall = min(1.0, (max_steps - step) / config.decay_steps) if config.decay_steps else 1.0
    return min(rise, fall)


def set_learning_rate(optimizer: optim.Optimizer, factor: float) -> float:
    """Scale every group's first rate by `factor`; return the last group's."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * factor
    rate: float = optimizer.param_groups[-1]["lr"]
    return rate
