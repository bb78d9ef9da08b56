"""The model without a server: speed by precision, length and batch; accuracy, RNN-T decoding, VAD and memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import torch

from asr_core.audio.chunking import ChunkPolicy
from asr_core.audio.downmix import WINDOW
from asr_core.audio.segmenter import Segmenter
from asr_core.audio.vad import SileroNetwork
from asr_core.cli import sample
from asr_core.model.heads import RnntHead
from asr_core.model.recognizer import NativeRecognizer, Recognizer, load_recognizer
from asr_core.model.threads import using_threads
from asr_core.settings import Settings
from asr_core.types import INT16_SCALE, SAMPLE_RATE, VadOptions
from benchmarks import machine, memory
from benchmarks.contestants import BASELINE, PRECISIONS, available_precisions, contestants
from benchmarks.model import CHARACTERS_PER_S, random_rnnt, rnnt_blank_bias
from benchmarks.timing import Finding, in_turns

LENGTHS_S, BATCHES = (2, 5, 20), (1, 4)
CHUNK_S = 20
VAD_S = 60

FASTER_THAN_EAGER = {("fp32", 20): 2.0, ("bf16", 20): 3.3, ("int8", 20): 5.0, ("int8", 2): 4.0}
"""By precision and length in seconds, one recording at a time."""
OF_OTHERS = {
    ("int8", "ONNX Runtime int8"): (0.60, 0.38),
    ("bf16", "OpenVINO bf16"): (0.95, 0.80),
    ("int8", "OpenVINO bf16"): (None, 0.60),
}
"""Our precision and another's form of the network: at most so much of its time for `MANY`, without AMX and with it."""
MANY = (4, 20)
"""Batch and seconds."""
VAD_SHARE = 6.0  # %
RNNT_OVERHEAD = 15.0  # %
INT8_ERROR = 5.0  # %

Rtf = dict[str, dict[str, float]]
"""Seconds of computing per second of sound, by case and contestant."""


@dataclass(frozen=True, slots=True)
class Case:
    """A batch of equally long recordings."""

    batch: int
    seconds: int

    @property
    def name(self) -> str:
        return f"{self.batch} × {self.seconds} s"


def run(
    checkpoint: Path, folder: Path, budget_s: float, *, ours_only: bool = False
) -> Iterator[tuple[Rtf, list[Finding]]]:
    """Measure, and give what has been found as it is found; `budget_s` of time for each comparison.

    `ours_only` leaves out the others, and RNN-T: the large model has none.
    """
    yield from speed(checkpoint, folder, budget_s, ours_only=ours_only)
    precisions = available_precisions()
    recognizers = {name: load_recognizer(str(checkpoint), precision=name, device="cpu") for name in precisions}
    yield {}, accuracy(recognizers)
    yield {}, vad_share(recognizers["int8" if "int8" in recognizers else "fp32"], budget_s)
    del recognizers
    if not ours_only:
        yield {}, rnnt_overhead(checkpoint, precisions, folder, budget_s)
    if memory.is_measurable():
        for precision in precisions:
            yield {}, memory.findings(checkpoint, precision)


def speed(
    checkpoint: Path, folder: Path, budget_s: float, *, ours_only: bool = False
) -> Iterator[tuple[Rtf, list[Finding]]]:
    """Everybody in turns, case by case."""
    with contestants(checkpoint, folder, ours_only=ours_only) as everybody:
        for seconds, batch in product(LENGTHS_S, BATCHES):
            work = {name: partial(who.run, batch, seconds * SAMPLE_RATE) for name, who in everybody.items()}
            times = in_turns(work, budget_s)
            case = Case(batch, seconds)
            rtf = {name: min(seconds_each) / (batch * seconds) for name, seconds_each in times.items()}
            yield {case.name: rtf}, ratios(case, rtf)


def ratios(case: Case, rtf: dict[str, float]) -> list[Finding]:
    """What one of us is to the others, where something is asked of it."""
    found = []
    for precision in PRECISIONS:
        target = FASTER_THAN_EAGER.get((precision, case.seconds))
        if target and case.batch == 1 and {BASELINE, f"ours {precision}"} <= rtf.keys():
            ratio = rtf[BASELINE] / rtf[f"ours {precision}"]
            found.append(Finding(f"eager's time / ours in {precision}, {case.name}", ratio, at_least=target))
    for (precision, other), targets in OF_OTHERS.items():
        if (case.batch, case.seconds) == MANY and {f"ours {precision}", other} <= rtf.keys():
            ratio = rtf[f"ours {precision}"] / rtf[other]
            found.append(
                Finding(f"our {precision}'s time / {other}'s, {case.name}", ratio, at_most=targets[machine.has_amx()])
            )
    return found


def accuracy(recognizers: dict[str, Recognizer]) -> list[Finding]:
    """How far the log-probabilities of the sample recording are from those in fp32."""
    waves = [_chunk()]
    (exact,) = recognizers["fp32"].log_probs(waves)
    found = []
    for precision in [p for p in recognizers if p != "fp32"]:
        (approximate,) = recognizers[precision].log_probs(waves)
        error = float((approximate - exact).norm())
        bound = INT8_ERROR if precision == "int8" else None
        same = float((approximate.argmax(1) == exact.argmax(1)).float().mean())
        found += [
            Finding(
                f"{precision}: log-probabilities, difference from fp32",
                100 * error / float(exact.norm()),
                "%",
                None,
                bound,
            ),
            Finding(
                f"{precision}: log-probabilities, difference / what of them changes from frame to frame",
                *(100 * error / float((exact - exact.mean(0)).norm()), "%"),
            ),
            Finding(f"{precision}: frames whose best label is that of fp32", 100 * same, "%"),
        ]
    return found


def vad_share(recognizer: Recognizer, budget_s: float) -> list[Finding]:
    """Speech detection and chunking, against the model's time for the same length of sound."""
    settings, network = Settings(_env_file=None), SileroNetwork.load()
    policy = ChunkPolicy.from_seconds(
        min_duration=settings.vad_min_duration,
        max_duration=settings.vad_max_duration,
        strict_limit=settings.vad_strict_limit,
        new_chunk_threshold=settings.vad_new_chunk_threshold,
    )
    pcm = (sample.waveform(VAD_S * SAMPLE_RATE) * INT16_SCALE).to(torch.int16).numpy()

    def segment() -> None:
        segmenter = Segmenter(network, policy, VadOptions())
        for start in range(0, len(pcm), WINDOW):
            segmenter.push(pcm[start : start + WINDOW])
        segmenter.flush()

    with using_threads(1):  # as on a worker
        times = in_turns({"vad": segment, "model": partial(recognizer.recognize, [_chunk()])}, budget_s)
    share = (min(times["vad"]) / VAD_S) / (min(times["model"]) / CHUNK_S)
    what = f"speech detection, of the {recognizer.precision} model's time"
    return [Finding(what, 100 * share, "%", at_most=VAD_SHARE if recognizer.precision == "int8" else None)]


def rnnt_overhead(like: Path, precisions: list[str], folder: Path, budget_s: float) -> list[Finding]:
    """Greedy RNN-T decoding on top of the encoder: the real v3_rnnt beside the checkpoint, else a random one."""
    real = like.with_name("v3_rnnt.ckpt")
    path = real if real.exists() else random_rnnt(like, folder)
    bias = 0.0 if path == real else None
    waves, found = [_chunk()], []
    for precision in precisions:
        recognizer = load_recognizer(str(path), precision=precision, device="cpu")
        assert isinstance(recognizer, NativeRecognizer)
        head = recognizer.head
        assert isinstance(head, RnntHead)
        (encoded,) = recognizer.encode(waves)
        if bias is None:
            bias = rnnt_blank_bias(head, encoded[: len(encoded) // 4], round(CHARACTERS_PER_S * CHUNK_S / 4))
        head.out_bias[head.blank] += bias
        decode = partial(torch.inference_mode()(head.decode), encoded)
        labels = len(decode())
        with using_threads(1):
            times = in_turns({"encode": partial(recognizer.encode, waves), "decode": decode}, budget_s / 2)
        overhead = min(times["decode"]) / min(times["encode"])
        what = f"v3_rnnt in {precision}: decoding on top of the encoder"
        found.append(Finding(what, 100 * overhead, "%", at_most=RNNT_OVERHEAD))
        found.append(Finding(f"v3_rnnt in {precision}: labels a second of sound", labels / CHUNK_S, ""))
    return found


def _chunk() -> torch.Tensor:
    return sample.waveform(CHUNK_S * SAMPLE_RATE)
