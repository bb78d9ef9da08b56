"""The compiled kernels and their twins in torch give the same, and neither shows what was computed beside."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from asr_core.model import kernels
from asr_core.model.kernels import compiled
from asr_core.model.linear import Target, bf16_is_native
from asr_core.model.recognizer import NativeRecognizer
from asr_core.model.threads import dismiss_helpers, using_threads
from asr_core.model.weights import DEMO
from asr_core.types import Precision
from tests.model.waveforms import noise, relative_error

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="there is no compiler here")

SHAPES = [(1, 32), (1, 768), (7, 48), (75, 96), (501, 33)]
TASKS = Path("/proc/self/task")
DTYPES = [torch.float32, torch.bfloat16]
RELATIVE = {torch.float32: 1e-5, torch.bfloat16: 2**-7}
"""In bfloat16 the last bit, since torch rounds after every step."""

PRECISIONS = [
    ("fp32", 1e-4),
    pytest.param("bf16", 0.03, marks=pytest.mark.skipif(not bf16_is_native(), reason="this CPU has no bf16")),
    ("int8", 0.05),
]
"""And how far from each other log-probabilities may be: in int8, torch has one scale for all frames."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    said = compiled.make(folder)
    assert "made with" in said
    return folder


@pytest.fixture(scope="module")
def library(made: Path) -> ctypes.CDLL:
    loaded = compiled.load(made)
    assert loaded is not None
    return loaded


@contextmanager
def using(library: ctypes.CDLL | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "library", lambda: library)
        yield


def values(shape: tuple[int, ...], dtype: torch.dtype, size: float = 1.0) -> Tensor:
    return (size * torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))).to(dtype)


def both(library: ctypes.CDLL, name: str, *arguments: object, **options: object) -> tuple[Tensor, Tensor]:
    """What a kernel gives compiled and in torch, each from copies of its own."""
    results = []
    for each in (library, None):
        with using(each):
            copies = [value.clone() if isinstance(value, Tensor) else value for value in arguments]
            named = {key: value.clone() if isinstance(value, Tensor) else value for key, value in options.items()}
            results.append(getattr(kernels, name)(*copies, **named))
    return results[0], results[1]


@needs_compiler
@pytest.mark.parametrize("size", [1e-20, 1.0, 60.0, 1e6])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_activations_agree_with_torchs(
    shape: tuple[int, int], dtype: torch.dtype, size: float, library: ctypes.CDLL
) -> None:
    x = values(shape, dtype, size)
    torch.testing.assert_close(*both(library, "silu", x), rtol=RELATIVE[dtype], atol=1e-5)
    torch.testing.assert_close(*both(library, "softmax", x), rtol=RELATIVE[dtype], atol=1e-5)
    torch.testing.assert_close(
        *both(library, "glu", values((shape[0], 2 * shape[1]), dtype, size)), rtol=RELATIVE[dtype], atol=1e-5
    )


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_norms_agree_with_torchs(shape: tuple[int, int], dtype: torch.dtype, library: ctypes.CDLL) -> None:
    x, y = 50 * values(shape, torch.float32) + 3, values(shape, dtype)
    gain, shift = values(shape[1:], torch.float32), values(shape[1:], torch.float32, 2.0)
    for out in DTYPES:
        torch.testing.assert_close(*both(library, "add_norm", x, y, dtype=out), rtol=2**-7, atol=1e-4)
        torch.testing.assert_close(*both(library, "add_norm", x, None, dtype=out), rtol=2**-7, atol=1e-4)
    torch.testing.assert_close(*both(library, "norm", y, gain, shift), rtol=2**-7, atol=1e-4)
    torch.testing.assert_close(*both(library, "norm", y, gain, shift, add=x), rtol=1e-4, atol=1e-4)


@needs_compiler
def test_a_sum_is_left_in_its_place(library: ctypes.CDLL) -> None:
    for each in (library, None):
        x, y = torch.ones(3, 32), torch.full((3, 32), 2.0)
        with using(each):
            kernels.add_norm(x, y, dtype=torch.float32)
            assert torch.equal(x, torch.full((3, 32), 3.0))
            kernels.add_norm(x, None, dtype=torch.float32)
            assert torch.equal(x, torch.full((3, 32), 3.0))


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "heads", "half"), [(1, 1, 1), (5, 3, 7), (77, 4, 24)])
def test_rotations_agree_with_torchs(
    rows: int, heads: int, half: int, dtype: torch.dtype, library: ctypes.CDLL
) -> None:
    x, width = values((rows, 2 * heads * half), dtype), 2 * heads * half
    gain, shift = values((width,), torch.float32), values((width + 1,), torch.float32)[:width]
    angles = values((rows, half), torch.float32, 3.0)
    turned = both(library, "rotate", x, gain, shift, angles.cos(), angles.sin())
    torch.testing.assert_close(*turned, rtol=RELATIVE[dtype], atol=2e-2 if dtype is torch.bfloat16 else 1e-5)


@needs_compiler
@pytest.mark.parametrize("steps", [254, 126])
@pytest.mark.parametrize("size", [0.0, 1e-8, 1.0, 1e6])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_quantisation_agrees_to_a_step(
    shape: tuple[int, int], dtype: torch.dtype, size: float, steps: int, library: ctypes.CDLL
) -> None:
    x, centre = values(shape, dtype, size), size * values(shape[1:], torch.float32)
    (ours, found), (theirs, expected) = both(library, "quantise", x, centre, steps)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-20)
    assert int((ours.int() - theirs.int()).abs().max()) <= 1
    step, least = found.split(1, dim=1)
    error = (ours.float() * step + least - (x - centre)).abs()
    assert bool((error <= 0.51 * step + 1e-6 * size + 1e-12).all())
    assert int(ours.max()) <= steps


@needs_compiler
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_products_are_rescaled_as_torch_would(
    shape: tuple[int, int], dtype: torch.dtype, silu: bool, library: ctypes.CDLL
) -> None:
    x, rows = values(shape, torch.float32, 100.0), values((shape[0], 2), torch.float32)
    sums, bias = values(shape[1:], torch.float32), values((shape[1] + 1,), torch.float32)[:-1]
    rescaled = both(library, "rescale", x, rows, sums, bias, dtype, silu=silu)
    torch.testing.assert_close(*rescaled, rtol=RELATIVE[dtype], atol=1e-4)


@needs_compiler
@pytest.mark.parametrize("steps", [254, 126])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_hardly_differs_from_its_centre_is_off_by_as_little(
    dtype: torch.dtype, steps: int, library: ctypes.CDLL
) -> None:
    centre = 100 * values((96,), dtype).float()
    for size in (0.0, 1e-6, 1e-4, 1e-2):
        x = (centre * (1 + size * values((37, 96), torch.float32))).to(dtype)
        with using(library):
            quantised, found = kernels.quantise(x, centre, steps)
        step, least = found[:, :1], found[:, 1:]
        error = (quantised.float() * step + least - (x - centre)).abs()
        assert bool((error <= step + 1e-4 * x.abs().amax()).all())


@needs_compiler
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_quantised_again_at_once_is_what_two_steps_give(
    shape: tuple[int, int], silu: bool, library: ctypes.CDLL
) -> None:
    x, found = values(shape, torch.float32, 100.0), values((shape[0], 2), torch.float32)
    sums, bias, centre = (values((shape[1] + n,), torch.float32)[n:] for n in range(3))
    with using(library):
        between = kernels.rescale(x, found, sums, bias, torch.float32, silu=silu)
        expected = kernels.quantise(between, centre, 254)
        at_once = kernels.requantise(x, found, sums, bias, centre, 254, silu=silu)
    assert int((at_once[0].int() - expected[0].int()).abs().max()) <= 1
    torch.testing.assert_close(at_once[1], expected[1], rtol=1e-5, atol=1e-6)


Kernel = Callable[[Tensor], Tensor]
"""[T, D], which may be used up, to rows."""


def _row_by_row(columns: int) -> list[Kernel]:
    """Kernels whose rows are each of one row, all with other operands of the same `columns`."""
    gain, steps = torch.ones(columns), torch.linspace(0.5, 2.0, 2)[None]

    def requantise(x: Tensor) -> Tensor:
        return kernels.requantise(x.float(), steps.repeat(len(x), 1), gain, gain, gain, 254, silu=True)[0]

    def rotate(x: Tensor) -> Tensor:
        angles = torch.ones(len(x), columns // 4)
        return kernels.rotate(x, gain, gain, angles.cos(), angles.sin())

    return [
        lambda x: kernels.norm(x, gain, gain),
        lambda x: kernels.add_norm(x.float(), x, dtype=torch.float32),
        lambda x: kernels.quantise(x, gain, 254)[0],
        lambda x: kernels.quantise(x, gain, 254)[1],
        lambda x: kernels.rescale(x.float(), steps.repeat(len(x), 1), gain, gain, torch.float32, silu=True),
        *(kernels.softmax, kernels.glu, kernels.silu, requantise, rotate),
    ]


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [48, 96, 100, 500])
def test_a_row_shows_none_of_its_neighbours(columns: int, dtype: torch.dtype, library: ctypes.CDLL) -> None:
    x = values((37, columns), dtype)
    with using(library):
        for compute in _row_by_row(columns):
            together = compute(x.clone())
            assert all(torch.equal(compute(x[i : i + 1].clone())[0], together[i]) for i in range(len(x)))


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(500, 768), (75, 768), (1001, 100), (2001, 36), (9, 4096)])
def test_rows_show_nothing_of_how_many_threads_computed_them(
    shape: tuple[int, int], dtype: torch.dtype, library: ctypes.CDLL
) -> None:
    x = values(shape, dtype)
    with using(library):
        for compute in _row_by_row(shape[1]):
            with using_threads(1):
                alone = compute(x.clone())
            for n_threads in (2, 3, 8):
                with using_threads(n_threads):
                    assert torch.equal(compute(x.clone()), alone)
    dismiss_helpers()


@needs_compiler
@pytest.mark.skipif(not TASKS.exists(), reason="threads are counted the way Linux does")
def test_several_threads_really_share_the_rows_where_torch_has_them(library: ctypes.CDLL) -> None:
    x, began = values((20_000, 768), torch.float32), set(TASKS.iterdir())
    with using(library), ThreadPoolExecutor(1) as thread:

        def compute() -> None:
            with using_threads(2):
                kernels.silu(x)

        thread.submit(compute).result()
        helpers = len(set(TASKS.iterdir()) - began) - 1
        thread.submit(dismiss_helpers).result()
    assert helpers == 1


@needs_compiler
def test_the_library_leaves_denormal_numbers_as_they_are(made: Path) -> None:
    program = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); assert float.fromhex('0x1p-1030') / 4 > 0"
    (path,) = made.glob("fused-*.so")
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)


@needs_compiler
def test_it_is_made_once_for_each_source_and_stale_ones_go(made: Path, tmp_path: Path) -> None:
    (path,) = made.glob("fused-*.so")
    stale = tmp_path / "fused-0123456789ab-0123456789ab.so"
    shutil.copy(path, stale)
    assert compiled.load(tmp_path) is None, "it was made from another source"
    shutil.copy(path, tmp_path)
    assert compiled.make(tmp_path) == f"{path.name} is there"


def test_without_a_compiler_nothing_is_made_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no C++ compiler" in compiled.make(tmp_path)
    assert compiled.load(tmp_path) is None


@needs_compiler
def test_a_compiler_that_fails_is_no_reason_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert "it is broken" in compiled.make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["c++"]


@needs_compiler
@pytest.mark.parametrize(("precision", "tolerance"), PRECISIONS)
def test_a_model_hears_the_same_with_and_without_them(
    precision: Precision, tolerance: float, library: ctypes.CDLL, sample: Tensor, sample_text: str
) -> None:
    found = []
    for each in (library, None):
        with using(each):
            recognizer = NativeRecognizer(DEMO, DEMO.parent, Target(torch.device("cpu"), precision))
            assert recognizer.recognize([sample])[0].text == sample_text
            found.append(recognizer.log_probs(noise(30_001))[0])
    assert relative_error(*found) < tolerance
