"""Plain PyTorch: one network after the other, or `torch.func.vmap` over them; eager, or in a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dnntrain.data import Dataset
from tests.bench.gpu.timing import captured, step_seconds

LR = 0.01


@dataclass(frozen=True)
class Images:
    """Training images on the device, (n, 1, 28, 28), and their classes."""

    x: torch.Tensor
    y: torch.Tensor

    @classmethod
    def of(cls, dataset: Dataset, n: int, device: torch.device) -> Images:
        """The first n images, scaled to 0 … 1."""
        x = torch.from_numpy(dataset.train_inputs[:n]).to(device).float().div_(255).unsqueeze(1)
        return cls(x, torch.from_numpy(dataset.train_targets[:n]).to(device))

    def order(self, batch_size: int, members: int | None = None) -> torch.Tensor:
        """The images of each step of an epoch in random order: (steps, rows), or (steps, members, rows)."""
        batch_size = min(batch_size, len(self.x))
        steps = len(self.x) // batch_size
        orders = [torch.randperm(len(self.x), device=self.x.device) for _ in range(members or 1)]
        by_step = torch.stack([order[: steps * batch_size].view(steps, batch_size) for order in orders], dim=1)
        return by_step if members else by_step[:, 0]


def run_by_run(model: nn.Module, images: Images, index: torch.Tensor, clipnorm: float | None) -> Callable[[], None]:
    """A training step of one network by SGD, on the images that the index (rows,) names."""
    model.to(images.x.device).train()
    parameters = list(model.parameters())
    optimizer = torch.optim.SGD(parameters, LR)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        cross_entropy(model(images.x[index]), images.y[index]).backward()
        if clipnorm is not None:
            clip_each([parameter.grad for parameter in parameters if parameter.grad is not None], clipnorm)
        optimizer.step()

    return step


def clip_each(grads: Sequence[torch.Tensor], largest: float) -> None:
    """Scale each tensor's gradient to a norm of at most `largest`, in place, with few kernels."""
    norms = torch._foreach_norm(grads)
    torch._foreach_clamp_min_(norms, largest)
    torch._foreach_reciprocal_(norms)
    torch._foreach_mul_(norms, largest)
    torch._foreach_mul_(grads, norms)


def vmapped(models: Sequence[nn.Module], images: Images, index: torch.Tensor) -> Callable[[], None]:
    """A training step of many networks without buffers, on the images that the index (P, rows) names."""
    for model in models:
        model.to(images.x.device).train()
    stacked, _ = torch.func.stack_module_state(list(models))
    state = {name: tensor.detach() for name, tensor in stacked.items()}

    def loss(parameters: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return cross_entropy(torch.func.functional_call(models[0], parameters, (x,)), y)

    gradients = torch.func.vmap(torch.func.grad(loss))

    def step() -> None:
        grads = gradients(state, images.x[index], images.y[index])
        torch._foreach_add_(list(state.values()), [grads[name] for name in state], alpha=-LR)

    return step


def time_plain(
    make: Callable[[torch.Tensor], Callable[[], None]], order: torch.Tensor, graph: bool, steps: int, repeats: int
) -> float:
    """Seconds of a step.

    Args:
        make: Makes a step that trains on the images which an index names, in whose memory each step's are written.
        order: The images of each step.
        graph: Whether the step runs as a CUDA graph.
        steps: In each block that is timed.
        repeats: Blocks.
    """
    index = order[0].clone()
    step = captured(make(index)) if graph else make(index)

    def next_step(number: int) -> None:
        index.copy_(order[number % len(order)])
        step()

    return step_seconds(next_step, steps, order.device, repeats)
