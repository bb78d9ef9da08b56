"""Who runs: the eager baseline, our network in each precision, and exported graphs where their runtimes are installed.

Each is a function from waveforms of one length to log-probabilities. All of them use the same weights and threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr_core.errors import PrecisionUnsupported
from asr_core.model.cpu import available_cores
from asr_core.model.linear import bf16_is_native
from asr_core.model.recognizer import Recognizer, load_recognizer
from benchmarks import eager

Contestant = Callable[[Sequence[Tensor]], object]

BASELINE = "eager fp32"
PRECISIONS = ("fp32", "bf16", "int8")


def ours(path: Path) -> dict[str, Recognizer]:
    """Our network in every precision that this CPU has."""
    found = {}
    for precision in PRECISIONS:
        try:
            found[precision] = load_recognizer(str(path), precision=precision, device="cpu")
        except PrecisionUnsupported as error:
            print(f"  {error}")
    return found


def eager_contestant(network: eager.EagerCTC) -> Contestant:
    @torch.inference_mode()
    def run(waves: Sequence[Tensor]) -> Tensor:
        log_probs: Tensor = network(torch.stack(list(waves)), torch.tensor([len(wave) for wave in waves]))[0]
        return log_probs

    return run


def exported(network: eager.EagerCTC, folder: Path) -> dict[str, Contestant]:
    """ONNX Runtime and OpenVINO on the baseline's graph, as far as they are installed."""
    runtimes = [name for name in ("onnxruntime", "openvino") if find_spec(name)]
    if not runtimes or not find_spec("onnx"):
        print("  ONNX Runtime and OpenVINO are not installed (dependency group `bench`): left out")
        return {}
    graph = export(network, folder / "encoder.onnx")
    contestants: dict[str, Callable[[Tensor], object]] = {}
    if "onnxruntime" in runtimes:
        contestants["ONNX Runtime fp32"] = _onnxruntime(graph)
        contestants["ONNX Runtime int8"] = _onnxruntime(quantized(graph))
    if "openvino" in runtimes:
        contestants["OpenVINO fp32"] = _openvino(graph, "f32")
        if bf16_is_native():
            contestants["OpenVINO bf16"] = _openvino(graph, "bf16")
    return {name: _after_features(network.preprocessor, run) for name, run in contestants.items()}


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


def _after_features(preprocessor: eager.Preprocessor, run: Callable[[Tensor], object]) -> Contestant:
    @torch.inference_mode()
    def whole(waves: Sequence[Tensor]) -> object:
        mel, _ = preprocessor(torch.stack(list(waves)), torch.tensor([len(wave) for wave in waves]))
        return run(mel)

    return whole
