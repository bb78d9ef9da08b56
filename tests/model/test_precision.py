"""Which arithmetic is really used, on this CPU and on imitated older ones."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from asr_core.errors import PrecisionUnsupported
from asr_core.model import cpu, trials
from asr_core.model.cpu import available_cores, choose_precision
from asr_core.model.int8 import Int8Linear
from asr_core.model.linear import Kind, PackedLinear, PlainLinear, Target, bf16_is_native, has_onednn, in_turn, products
from asr_core.model.recognizer import NativeRecognizer, load_recognizer
from asr_core.types import Precision
from tests.model.waveforms import noise, relative_error

CPU = torch.device("cpu")
Load = Callable[..., NativeRecognizer]

needs_bf16 = pytest.mark.skipif(not bf16_is_native(), reason="this CPU has no bf16 instructions")
needs_onednn = pytest.mark.skipif(not has_onednn(), reason="this build of torch has no oneDNN")


def linears(recognizer: NativeRecognizer) -> set[type]:
    layer = recognizer.encoder.layers[0]
    return {type(linear) for linear in (layer.feed_forward1.first, layer.conv.expand, layer.conv.project)}


@needs_onednn
def test_the_fast_layers_are_really_taken(load: Load) -> None:
    assert linears(load("v3_ctc", "fp32")) == {PackedLinear}
    assert linears(load("v3_ctc", "int8")) == {Int8Linear}


@needs_bf16
def test_bf16_weights_are_packed_as_such(load: Load) -> None:
    recognizer = load("v3_ctc", "bf16")
    assert linears(recognizer) == {PackedLinear}
    assert recognizer.encoder.target.dtype is torch.bfloat16


@needs_onednn
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=needs_bf16), "int8"])
def test_no_layer_falls_to_a_reference_kernel(
    precision: Precision, silu: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    target = Target(CPU, precision)
    layer = target.linear(torch.randn(64, 32), torch.zeros(64), silu=silu)
    frames = target.place(torch.randn(16, 32))
    layer(frames)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):  # type: ignore[no-untyped-call]
        layer(frames)
    ctypes.CDLL(None).fflush(None)
    used = [line.split(",") for line in capfd.readouterr().out.splitlines() if ",primitive,exec," in line]
    assert used
    assert not [fields for fields in used if any(field.startswith("ref") for field in fields)]


@needs_onednn
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("kind", products().values(), ids=products())
def test_every_way_to_compute_a_product_gives_the_same(kind: Kind, silu: bool) -> None:
    weight, bias, frames = torch.randn(64, 32), torch.randn(64), torch.randn(16, 32)
    expected = torch.nn.functional.linear(frames, weight, bias)
    expected = torch.nn.functional.silu(expected) if silu else expected
    torch.testing.assert_close(kind(weight, bias, silu=silu)(frames), expected, rtol=1e-5, atol=1e-4)


@needs_onednn
def test_two_int8_layers_in_turn_give_what_one_after_the_other_gives() -> None:
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=random) / 8 for shape in ((128, 64), (64, 128))]
    first = Int8Linear(weights[0], torch.ones(128), silu=True, out_dtype=torch.float32)
    second = Int8Linear(weights[1], torch.ones(64), out_dtype=torch.float32)
    settling, frames = torch.randn(2, 50, 64, generator=random)
    in_turn(first, second, settling)
    torch.testing.assert_close(in_turn(first, second, frames), second(first(frames)), rtol=0.01, atol=0.05)


def test_another_way_is_taken_only_if_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    ways = dict.fromkeys(("first", "second", "third"), lambda: None)
    for second, third, expected in ((0.95, 2.0, "first"), (0.85, 2.0, "second"), (0.85, 0.8, "third")):
        taken = {"first": 1.0, "second": second, "third": third}
        monkeypatch.setattr(trials, "seconds", lambda *_, taken=taken: taken)
        assert trials.fastest(ways, 1) == expected


def test_a_trial_counts_what_this_thread_computes_and_not_what_it_waits_for() -> None:
    assert trials.seconds({"waiting": lambda: time.sleep(0.05)}, 2)["waiting"] < 0.05


def test_without_onednn_the_plain_layers_give_the_same(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    (expected,) = load("v3_ctc").log_probs(noise(30_000))
    for module in ("linear", "attention"):
        monkeypatch.setattr(f"asr_core.model.{module}.has_onednn", lambda: False)
    plain = load("v3_ctc")
    assert linears(plain) == {PlainLinear}
    assert relative_error(plain.log_probs(noise(30_000))[0], expected) < 1e-4


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.05), ("int8", 0.05)])
def test_lower_precision_stays_close_to_fp32(precision: str, tolerance: float, load: Load) -> None:
    (exact,) = load("v3_ctc").log_probs(noise(80_000))
    (approximate,) = load("v3_ctc", precision).log_probs(noise(80_000))
    assert float((approximate - exact).norm() / exact.norm()) < tolerance


def test_quantised_layers_use_the_whole_range_of_what_they_are_given() -> None:
    weight, bias = torch.randn(64, 48), torch.randn(64)
    for x in (torch.randn(30, 48), torch.rand(30, 48) + 5, -torch.rand(30, 48) - 5, torch.zeros(30, 48)):
        layer = Int8Linear(weight, bias, out_dtype=torch.float32)
        layer(x)  # on which it settles
        for compute in (layer.by_frame, layer.by_recording):
            for size in (1, 3):
                spread = float((size * x - x.mean(0)).abs().max())
                expected = size * x @ weight.T + bias
                torch.testing.assert_close(compute(size * x), expected, rtol=0, atol=0.03 * spread * 7 + 1e-4)


def test_auto_says_why_it_chose() -> None:
    choice = choose_precision("auto", CPU)
    assert choice.precision in ({"fp32", "bf16"} if bf16_is_native() else {"fp32", "int8"})
    assert "auto: fastest on this CPU" in choice.reason


def test_the_gigaam_engine_refuses_a_precision_that_it_has_not() -> None:
    with pytest.raises(PrecisionUnsupported, match="ENGINE=native"):
        load_recognizer("demo", precision="int8", engine="gigaam")


@pytest.mark.parametrize(("native", "other"), [(True, "bf16"), (False, "int8")])
def test_auto_takes_what_measured_faster(native: bool, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "bf16_is_native", lambda: native)
    for fast, slow in (("fp32", other), (other, "fp32")):
        seconds = {fast: 0.001, slow: 0.002}
        monkeypatch.setattr(cpu, "seconds_per_layer", lambda target, seconds=seconds: seconds[target.precision])
        choice = choose_precision("auto", CPU)
        assert choice.precision == fast
        assert f"{fast} 1.0 ms" in choice.reason


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_packed_precisions_are_refused_off_the_cpu(precision: str) -> None:
    with pytest.raises(PrecisionUnsupported, match="on cuda use fp32 or auto"):
        choose_precision(precision, torch.device("cuda"))
    assert choose_precision("auto", torch.device("cuda")).precision == "fp32"


_ON_ANOTHER_CPU = """
import json, sys, warnings
warnings.simplefilter("error")
from pathlib import Path
import torch
from asr_core.errors import PrecisionUnsupported
from asr_core.model.cpu import choose_precision
from asr_core.model.linear import Target, bf16_is_native
from asr_core.model.recognizer import NativeRecognizer, load_recognizer
from tests.model.waveforms import noise
cpu, path, report = torch.device("cpu"), Path(sys.argv[1]), {}
report["native"] = bf16_is_native()
report["auto"] = choose_precision("auto", cpu).precision
try:
    report["bf16"] = choose_precision("bf16", cpu).precision
except PrecisionUnsupported as error:
    report["bf16"] = str(error)
waveforms = noise(16_000)
exact = NativeRecognizer(path, path.parent, Target(cpu, "fp32")).log_probs(waveforms)[0]
quantised = NativeRecognizer(path, path.parent, Target(cpu, choose_precision("int8", cpu).precision))
report["int8_error"] = float((quantised.log_probs(waveforms)[0] - exact).norm() / exact.norm())
report["fp32"] = exact.tolist()
print(json.dumps(report))
"""


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="imitates older x86 CPUs")
@pytest.mark.parametrize("isa", ["AVX2", "AVX2_VNNI", "SSE41"])
def test_older_cpus_do_without_bf16_and_compute_the_same(
    isa: str, checkpoint: Callable[[str], Path], load: Load
) -> None:
    capability = "default" if isa == "SSE41" else "avx2"
    environment = os.environ | {"ONEDNN_MAX_CPU_ISA": isa, "ATEN_CPU_CAPABILITY": capability}
    report = _run(_ON_ANOTHER_CPU, str(checkpoint("v3_ctc")), environment=environment)
    assert not report["native"]
    assert report["auto"] in {"fp32", "int8"}
    assert "no bf16 instructions" in report["bf16"]
    assert report["int8_error"] < 0.05
    assert relative_error(torch.tensor(report["fp32"]), load("v3_ctc").log_probs(noise(16_000))[0]) < 1e-4


def _run(program: str, *arguments: str, environment: dict[str, str]) -> Any:
    command = [sys.executable, "-c", program, *arguments]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=110)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_cores_are_those_that_this_process_may_use() -> None:
    program = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    program += "from asr_core.model.cpu import available_cores; print(available_cores())"
    assert _run(program, environment=dict(os.environ)) == 1


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 1), ("max 100000", 64), ("800000 100000", 8), ("junk", 64)]
)
def test_a_containers_cpu_quota_bounds_the_cores(
    quota: str, cores: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(cpu, "_CGROUP_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert available_cores() == cores


def test_a_layer_is_measured_in_less_than_a_second_of_work() -> None:
    assert cpu.seconds_per_layer(Target(CPU, "fp32"), repeats=3) > 0
