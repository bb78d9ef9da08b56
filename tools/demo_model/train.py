"""Train the demo network on the parts that `synth` made.

    python -m tools.demo_model.train --data DIR --minutes 120

Worker processes of one thread each share the parameters. The schedule follows running minutes, so training always ends
with its rate decayed, on a fast machine or a slow one; time spent stopped (SIGSTOP) does not count. `--resume` goes on
from the last checkpoint, with other `--minutes` if need be.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F

from reference.eager import EagerCTC, EncoderConfig, RotaryAttention
from tools.demo_model.mixing import FRAMES_PER_SECOND, Batch, Corpus, Mixer
from tools.demo_model.optimizer import SharedOptimizer, bind, layout

VOCABULARY = [" ", *map(chr, range(ord("а"), ord("я") + 1))]
CODES = {character: code for code, character in enumerate(VOCABULARY)}
NETWORK = EncoderConfig(d_model=160, n_layers=5, n_heads=4)
MIDDLE_LAYER, MIDDLE_WEIGHT, MIDDLE_UNTIL = 3, 0.3, 0.5  # at first the head also reads this layer (intermediate CTC)
WINDOW_SECONDS, WINDOW_SHARES = (4, 8, 16, 28), (0.1, 0.3, 0.35, 0.25)  # the server hears up to 25 s as one
MUON_RATE, ADAM_RATE = 0.02, 3e-3
WARM_UP, DECAY_FROM = 0.015, 0.3  # of the running time
LONGEST_STEP_S = 5.0  # a step that took longer was stopped from outside
REFRESH_STEPS, LOG_STEPS, SAVE_MINUTES = 250, 50, 3.0


@dataclass(frozen=True, slots=True)
class Options:
    data: Path
    minutes: float
    workers: int = 2
    worker_seconds: int = 48  # of audio, per worker and step
    seed: int = 7
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Shared:
    """Flat buffers that all workers see, and where they wait for each other."""

    values: Tensor  # [N] parameters
    average: Tensor  # [N] their moving average
    gradients: Tensor  # [workers, N]
    clock: Tensor  # [1] running minutes, kept by worker 0
    meet: Callable[[], int]


def plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """A quarter faster than the fused kernel in training on a CPU. Windows are full, so there is no mask."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    attended: Tensor = scores.softmax(-1) @ v
    return attended


def new_network(seed: int) -> EagerCTC:
    torch.manual_seed(seed)
    model = EagerCTC(NETWORK, VOCABULARY)
    for buffer in model.preprocessor.buffers():
        buffer.copy_(buffer.half())  # as the exported file will have them
    filters = model.encoder.pre_encode.conv[0].get_parameter("weight").data
    filters -= filters.mean(dim=(1, 2), keepdim=True)  # log-mels are around -10: do not start by seeing that offset
    for module in model.encoder.modules():
        if isinstance(module, RotaryAttention):
            module.attend = plain_attention
    return model


def rate(progress: float) -> float:
    """Warm up, hold, then fall to nothing in a straight line."""
    return min(1.0, progress / WARM_UP + 0.01, max(0.0, (1 - progress) / (1 - DECAY_FROM)))


def window_seconds(progress: float, rng: np.random.Generator) -> int:
    """Short windows first: alignments are found sooner."""
    if progress < 0.05:
        return 4 if progress < 0.025 else 8
    return int(rng.choice(WINDOW_SECONDS, p=WINDOW_SHARES))


def ctc(log_probs: Tensor, labels: list[str]) -> Tensor:
    """Mean loss per encoder frame of [B, T, V]"""
    targets = torch.tensor([CODES[character] for label in labels for character in label])
    lengths = torch.tensor([len(label) for label in labels])
    batch, frames, classes = log_probs.shape
    total = F.ctc_loss(
        log_probs.float().transpose(0, 1), targets, torch.full((batch,), frames), lengths,
        blank=classes - 1, reduction="sum", zero_infinity=True,
    )  # fmt: skip
    return total / (batch * frames)


def losses(model: EagerCTC, batch: Batch, with_middle: bool) -> list[Tensor]:
    """At the last layer, and perhaps at the middle one."""
    mel = torch.from_numpy(batch.mel)
    middle: list[Tensor] = []
    hook = model.encoder.layers[MIDDLE_LAYER - 1].register_forward_hook(lambda _m, _i, out: middle.append(out))
    with torch.autocast("cpu", torch.bfloat16):
        encoded, _ = model.encoder(mel, torch.full((len(mel),), mel.shape[2]))
        hook.remove()
        read = [encoded, *middle[:with_middle]]
        return [ctc(model.head(layer), batch.labels) for layer in read]


class Worker:
    def __init__(self, rank: int, options: Options, shared: Shared) -> None:
        self.rank, self.options, self.shared = rank, options, shared
        self.model = new_network(options.seed)
        self.slots = layout(self.model)
        bind(self.model, self.slots, shared.values, shared.gradients[rank])
        self.optimizer = SharedOptimizer(self.slots, shared.values, shared.average, rank, options.workers)
        self.corpus = Corpus(options.data / "parts")
        self.mixer = Mixer(self.corpus, options.seed)
        self.saved_minutes = 0.0
        if options.resume:
            self.restore()

    def run(self) -> None:
        began, recent = time.monotonic(), 0.0
        while (progress := float(self.shared.clock[0]) / self.options.minutes) < 1.0:
            recent += self.step(progress)
            self.shared.meet()  # all have read the clock and updated their parameters
            now = time.monotonic()
            if self.rank == 0:
                self.shared.clock.add_(min(now - began, LONGEST_STEP_S) / 60)
            began = now
            self.shared.meet()
            steps = self.optimizer.steps
            if steps % REFRESH_STEPS == 0:
                self.corpus.refresh()
            if steps % LOG_STEPS == 0 and self.rank == 0:
                self.report(progress, recent / LOG_STEPS)
                recent = 0.0
            if float(self.shared.clock[0]) - self.saved_minutes > SAVE_MINUTES:
                self.save()
        self.save()

    def report(self, progress: float, recent: float) -> None:
        steps = self.optimizer.steps
        hours = steps * self.options.worker_seconds * self.options.workers / 3600
        print(
            f"{time.strftime('%H:%M:%S')} step {steps}, {float(self.shared.clock[0]):.2f} min, {hours:.1f} h heard:"
            f" loss {recent:.4f}, rate {rate(progress):.3f}",
            flush=True,
        )

    def step(self, progress: float) -> float:
        steps = self.optimizer.steps
        seconds = window_seconds(progress, np.random.default_rng((self.options.seed, steps)))
        rng = np.random.default_rng((self.options.seed, steps, self.rank + 1))
        windows = max(1, round(self.options.worker_seconds / seconds))
        batch = self.mixer.batch(windows, seconds * FRAMES_PER_SECOND, rng)
        own = self.shared.gradients[self.rank].zero_()
        last, *middle = losses(self.model, batch, progress < MIDDLE_UNTIL)
        loss = torch.lerp(last, middle[0], MIDDLE_WEIGHT) if middle else last
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nan_to_num_(own, 0.0, 0.0, 0.0)
        self.shared.meet()
        factor = rate(progress)
        self.optimizer.step(self.shared.gradients.sum(0), MUON_RATE * factor, ADAM_RATE * factor)
        return float(last.detach())

    def save(self) -> None:
        """Each worker its own optimizer state, worker 0 the parameters too."""
        self.saved_minutes = float(self.shared.clock[0])
        state: dict[str, Any] = {"optimizer": self.optimizer.state(), "minutes": self.saved_minutes}
        if self.rank == 0:
            state |= {"values": self.shared.values, "average": self.shared.average, "network": asdict(NETWORK)}
        path = self.state_path()
        torch.save(state, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)
        self.shared.meet()

    def restore(self) -> None:
        state = torch.load(self.state_path(), weights_only=True)
        self.optimizer.load_state(state["optimizer"])
        self.saved_minutes = state["minutes"]
        if self.rank == 0:
            self.shared.clock.fill_(self.saved_minutes)
            self.shared.values.copy_(state["values"])
            self.shared.average.copy_(state["average"])
        self.shared.meet()

    def state_path(self) -> Path:
        return self.options.data / f"train{self.rank}.pt"


def new_shared(options: Options) -> Shared:
    start = torch.cat([parameter.detach().flatten() for parameter in new_network(options.seed).parameters()])
    buffers = {
        "values": start,
        "average": start.clone(),
        "gradients": torch.zeros(options.workers, len(start)),
        "clock": torch.zeros(1, dtype=torch.float64),
    }
    for buffer in buffers.values():
        buffer.share_memory_()  # type: ignore[no-untyped-call]
    return Shared(**buffers, meet=get_context("spawn").Barrier(options.workers).wait)


def work(rank: int, options: Options, shared: Shared) -> None:
    torch.set_num_threads(1)
    Worker(rank, options, shared).run()


def trained_weights(data: Path, averaged: bool) -> dict[str, Tensor]:
    """The state_dict as training left it."""
    state = torch.load(data / "train0.pt", weights_only=True)
    model = new_network(0)
    values = state["average" if averaged else "values"]
    bind(model, layout(model), values, torch.zeros_like(values))
    return model.state_dict()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--worker-seconds", type=int, default=48)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--resume", action="store_true")
    options = Options(**vars(parser.parse_args()))
    print(f"{sum(parameter.numel() for parameter in new_network(0).parameters()) / 1e6:.2f} M parameters", flush=True)
    spawn(work, (options, new_shared(options)), nprocs=options.workers)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
