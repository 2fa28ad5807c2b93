"""Sharpness-aware minimization: the gradient is taken where the loss is highest nearby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dnntrain.nn.gradients import Gradients, densify
from dnntrain.nn.layer import Tensors
from dnntrain.techniques.base import Switch, per_member
from dnntrain.techniques.clipping import global_norm
from dnntrain.utils.fields import hyperparameter


class SAM(Switch):
    """Sharpness-aware minimization, over any optimizer."""

    family = "Sharpness-aware minimization"
    name = "sam"
    primary = "rho"
    summary = "Steps by the gradient at the highest loss within a distance ρ, which leads to flatter minima."
    paper = "Foret et al. 2021, Sharpness-Aware Minimization for Efficiently Improving Generalization, arXiv:2010.01412"
    formula = "g ← ∇L(θ + ρ ∇L(θ) / ‖∇L(θ)‖) on the same mini-batch"
    advice = (
        "Often better on images, at twice the time: each step has two passes. ρ of 0.05 to 0.1. Penalties and clipping "
        "act on the second gradient, and only the first pass moves running statistics."
    )
    rho: float = hyperparameter(0.05, "distance ρ", gt=0, per_member=True)

    @contextmanager
    def ascended(self, parameters: Tensors, grads: Gradients) -> Iterator[None]:
        """Add ρ g/‖g‖ to the parameters for a while, where ‖g‖ is each member's norm over all of them.

        Args:
            parameters: All parameters (P, …), by name.
            grads: Their gradients g.
        """
        ascent = {name: densify(gradient) for name, gradient in grads.items()}
        scale = self.rho / (global_norm(list(ascent.values())) + 1e-12)
        before = {name: parameter.clone() for name, parameter in parameters.items()}
        for name, parameter in parameters.items():
            parameter.addcmul_(ascent[name], per_member(scale, parameter))
        yield
        for name, parameter in parameters.items():
            parameter.copy_(before[name])
