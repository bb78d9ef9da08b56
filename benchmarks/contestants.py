"""Who runs: the eager baseline, our network in each precision, and exported graphs where their runtimes are installed.

All of them turn waveforms into log-probabilities with the same weights and cores. Each has a process of its own: the
thread pools of several runtimes in one process hold each other up. Ours has the environment that our server gives
itself, the others have what they would have without us.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr_core import runtime
from asr_core.cli import sample
from asr_core.cli.speed import alone, at_once, threads_alone
from asr_core.errors import PrecisionUnsupported
from asr_core.model.cpu import available_cores, choose_precision
from asr_core.model.linear import bf16_is_native
from asr_core.model.recognizer import load_recognizer
from benchmarks.model import load_eager
from reference import eager

BASELINE = "eager fp32"
PRECISIONS = ("fp32", "bf16", "int8")

Network = Callable[[Tensor], object]
"""From equally long waveforms [B, S] to log-probabilities."""


class Contestant:
    """A network that `build` makes in a new process."""

    def __init__(
        self, build: Callable[[], Network], *, ours: bool, environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment` is what its process has beside what is ours or others'."""
        self._process = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        with _environment(environment or {}, ours=ours):
            self._process.submit(_build, build).result()

    def run(self, batch: int, samples: int) -> None:
        """Compute for a batch of sample recordings."""
        self._process.submit(_run, batch, samples).result()

    def close(self) -> None:
        self._process.shutdown()


@contextmanager
def _environment(more: Mapping[str, str], *, ours: bool) -> Iterator[None]:
    """Scope in which a process that is started reads what torch's libraries read in our server or in others', and
    `more`."""
    before = dict(os.environ)
    if ours:
        runtime.prepare(os.environ)
    else:
        for name, value in runtime.DEFAULTS.items():
            if os.environ.get(name) == value:
                del os.environ[name]
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_built: list[Network] = []  # in a contestant's process: its network


def _build(build: Callable[[], Network]) -> None:
    torch.set_num_threads(available_cores())
    _built.append(build())


@torch.inference_mode()
def _run(batch: int, samples: int) -> None:
    _built[0](sample.waveform(samples).expand(batch, -1))


@contextmanager
def contestants(checkpoint: Path, folder: Path, *, ours_only: bool = False) -> Iterator[dict[str, Contestant]]:
    """All who can run on this machine, by name; at once, each with the weights in memory."""
    builds: dict[str, Callable[[], Network]] = {} if ours_only else {BASELINE: partial(_eager, checkpoint)}
    builds |= {f"ours {precision}": partial(ours, checkpoint, precision) for precision in available_precisions()}
    if not ours_only:
        builds |= _exported(checkpoint, folder)
    with ExitStack() as stack:
        everybody = {}
        for name, build in builds.items():
            everybody[name] = Contestant(build, ours=name.startswith("ours"))
            stack.callback(everybody[name].close)
        yield everybody


def available_precisions() -> list[str]:
    """What this CPU can compute in, fp32 first."""
    found = []
    for precision in PRECISIONS:
        try:
            choose_precision(precision, torch.device("cpu"))
        except PrecisionUnsupported as error:
            print(f"  {error}")
        else:
            found.append(precision)
    return found


def _eager(checkpoint: Path) -> Network:
    network = load_eager(checkpoint)
    return lambda waves: network(waves, _lengths(waves))


def ours(checkpoint: Path, precision: str) -> Network:
    """As the engine computes: one chunk with the threads that it has alone, several on a worker each."""
    recognizer = load_recognizer(str(checkpoint), precision=precision, device="cpu")
    n_threads = threads_alone(recognizer)
    return lambda waves: (
        alone(recognizer, waves[0], n_threads)
        if len(waves) == 1
        else at_once(recognizer, list(waves), available_cores())
    )


def _exported(checkpoint: Path, folder: Path) -> dict[str, Callable[[], Network]]:
    """ONNX Runtime and OpenVINO on the baseline's graph, as far as they are installed."""
    runtimes = [name for name in ("onnxruntime", "openvino") if find_spec(name)]
    if not runtimes or not find_spec("onnx"):
        print("  ONNX Runtime and OpenVINO are not installed (dependency group `bench`): left out")
        return {}
    network = load_eager(checkpoint)
    graph = export(network, folder / "encoder.onnx")
    after = partial(_after_features, network.preprocessor)
    builds: dict[str, Callable[[], Network]] = {}
    if "onnxruntime" in runtimes:
        builds["ONNX Runtime fp32"] = partial(after, partial(_onnxruntime, graph))
        builds["ONNX Runtime int8"] = partial(after, partial(_onnxruntime, quantized(graph)))
    if "openvino" in runtimes:
        builds["OpenVINO fp32"] = partial(after, partial(_openvino, graph, "f32"))
        if bf16_is_native():
            builds["OpenVINO bf16"] = partial(after, partial(_openvino, graph, "bf16"))
    return builds


class _Unpadded(nn.Module):
    """Encoder and head for a batch without padding, which needs no masks: [B, M, F] → [B, T, V]."""

    def __init__(self, network: eager.EagerCTC) -> None:
        super().__init__()
        self.encoder, self.head = network.encoder, network.head

    def forward(self, mel: Tensor) -> Tensor:
        x = self.encoder.pre_encode.conv(mel).transpose(1, 2)
        config = self.encoder.config
        rotary = eager.rotary_tables(x.shape[1], config.d_model // config.n_heads, config.pos_emb_max_len, x.device)
        for layer in self.encoder.layers:
            x = layer(x, rotary, None)
        log_probs: Tensor = self.head(x)
        return log_probs


def export(network: eager.EagerCTC, path: Path) -> Path:
    """Write encoder and head as ONNX, batch and length left open; the short-time spectrum stays in torch."""
    example = torch.randn(2, network.encoder.config.feat_in, 400)
    axes = {"mel": {0: "batch", 2: "frames"}, "log_probs": {0: "batch", 1: "steps"}}
    torch.onnx.export(
        _Unpadded(network).eval(),
        (example,),
        path,
        input_names=["mel"],
        output_names=["log_probs"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )
    return path


def quantized(graph: Path) -> Path:
    """ONNX Runtime's dynamic int8: matrix products, a scale for each output channel."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 - optional

    path = graph.with_name("encoder_int8.onnx")
    quantize_dynamic(graph, path, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8)
    return path


def _onnxruntime(graph: Path) -> Callable[[Tensor], object]:
    import onnxruntime  # noqa: PLC0415 - optional

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    options.log_severity_level = 3
    # Its threads would go on spinning while the next contestant runs.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda mel: session.run(None, {"mel": mel.numpy()})


def _openvino(graph: Path, precision: str) -> Callable[[Tensor], object]:
    import openvino  # noqa: PLC0415 - optional

    options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": available_cores()}
    compiled = openvino.compile_model(graph, "CPU", options | {"PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return lambda mel: request.infer({"mel": mel.numpy()})


def _after_features(preprocessor: eager.Preprocessor, build: Callable[[], Callable[[Tensor], object]]) -> Network:
    run = build()
    return lambda waves: run(preprocessor(waves, _lengths(waves))[0])


def _lengths(waves: Tensor) -> Tensor:
    return torch.full((waves.shape[0],), waves.shape[1])
