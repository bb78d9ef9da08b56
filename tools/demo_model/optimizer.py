"""Muon for the matrices, AdamW for the rest, over one flat buffer that worker processes share.

Each worker owns the update of some of the parameters: it reads everyone's gradients for them and writes the new values
where all workers see them. So the cost of the optimizer is divided like that of the batch, and nothing is sent twice.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, nn

MUON_MOMENTUM = 0.95
ADAM_BETAS = (0.9, 0.98)
WEIGHT_DECAY = 0.01  # times the learning rate
EMA_DECAY = 0.998


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a parameter lies in the flat buffers."""

    name: str
    start: int
    shape: torch.Size
    matrix: bool

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)


def layout(model: nn.Module) -> list[Slot]:
    """Muon takes what multiplies hidden vectors: linears and pointwise convolutions of the layers."""
    slots, start = [], 0
    for name, parameter in model.named_parameters():
        matrix = name.startswith("encoder.layers") and min(parameter.shape[:2] if parameter.ndim > 1 else [1]) > 1
        slots.append(Slot(name, start, parameter.shape, matrix))
        start = slots[-1].stop
    return slots


def bind(model: nn.Module, slots: list[Slot], values: Tensor, gradients: Tensor) -> None:
    """Make the parameters and their gradients views of flat buffers [N]."""
    for slot, parameter in zip(slots, model.parameters(), strict=True):
        parameter.data = values[slot.start : slot.stop].view(slot.shape)
        parameter.grad = gradients[slot.start : slot.stop].view(slot.shape)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz towards the nearest orthogonal matrix (Jordan et al., 2024): [K, rows, columns] → the same"""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    orthogonal: Tensor = x.transpose(1, 2) if tall else x
    return orthogonal.float()


class SharedOptimizer:
    """The update of the parameters that one of `world` workers owns."""

    def __init__(self, slots: list[Slot], values: Tensor, average: Tensor, rank: int, world: int) -> None:
        self.values, self.average = values, average  # [N] shared
        self.stacks: list[list[Slot]] = []
        by_shape: dict[tuple[int, ...], list[Slot]] = defaultdict(list)
        for slot in (slot for slot in slots if slot.matrix):
            by_shape[tuple(slot.shape[:2])].append(slot)
        for stack in by_shape.values():
            self.stacks.append(stack[rank::world])
        self.plain = [slot for slot in slots if not slot.matrix][rank::world]
        self.momentum = [torch.zeros(len(stack), *stack[0].shape[:2]) for stack in self.stacks]
        size = sum(slot.stop - slot.start for slot in self.plain)
        self.first, self.second = torch.zeros(size), torch.zeros(size)
        self.steps = 0

    def state(self) -> dict[str, object]:
        return {"momentum": self.momentum, "first": self.first, "second": self.second, "steps": self.steps}

    def load_state(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)

    @torch.no_grad()
    def step(self, gradients: Tensor, muon_rate: float, adam_rate: float) -> None:
        """gradients [N], already summed over the workers"""
        self.steps += 1
        for stack, momentum in zip(self.stacks, self.momentum, strict=True):
            self._muon(stack, momentum, gradients, muon_rate)
        self._adam(gradients, adam_rate)

    def _muon(self, stack: list[Slot], momentum: Tensor, gradients: Tensor, rate: float) -> None:
        gradient = torch.stack([gradients[slot.start : slot.stop].view(slot.shape[:2]) for slot in stack])
        momentum.lerp_(gradient, 1 - MUON_MOMENTUM)
        update = orthogonalise(gradient.lerp(momentum, MUON_MOMENTUM))
        scale = rate * max(1.0, update.shape[1] / update.shape[2]) ** 0.5
        for slot, change in zip(stack, update, strict=True):
            self._apply(slot, change.flatten(), rate, scale)

    def _adam(self, gradients: Tensor, rate: float) -> None:
        gradient = torch.cat([gradients[slot.start : slot.stop] for slot in self.plain])
        self.first.lerp_(gradient, 1 - ADAM_BETAS[0])
        self.second.lerp_(gradient.square(), 1 - ADAM_BETAS[1])
        first, second = (1 - beta**self.steps for beta in ADAM_BETAS)
        change = (self.first / first) / ((self.second / second).sqrt() + 1e-8)
        start = 0
        for slot in self.plain:
            stop = start + slot.stop - slot.start
            self._apply(slot, change[start:stop], rate, rate)
            start = stop

    def _apply(self, slot: Slot, change: Tensor, rate: float, scale: float) -> None:
        value = self.values[slot.start : slot.stop]
        if len(slot.shape) > 1:
            value.mul_(1 - rate * WEIGHT_DECAY)
        value.sub_(change, alpha=scale)
        self.average[slot.start : slot.stop].lerp_(value, 1 - min(EMA_DECAY, self.steps / (self.steps + 10)))
