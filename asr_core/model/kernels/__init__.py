"""What lies between the network's products, in one pass over the frames each.

Compiled where a compiler was found (`compiled`), else in torch (`twins`). Frames are [T, D], float32 or bfloat16;
gains, shifts and tables are float32. The compiled kernels share their rows out among the threads that torch would
use; what they give depends on nothing but what they are given.
"""

from __future__ import annotations

from ctypes import CDLL

import torch
from torch import Tensor, get_num_threads

from asr_core.model.kernels import twins
from asr_core.model.kernels.compiled import library

_TYPES = {torch.float32: 0, torch.bfloat16: 1}
ROWS_ABREAST = 4
"""Rows that a thread has in hand in soft-max: `ABREAST` in C++."""


def are_compiled() -> bool:
    """Whether the compiled kernels are in use."""
    return library() is not None


def names() -> str:
    """Which are in use, in a word."""
    return "compiled" if are_compiled() else "torch"


def silu(x: Tensor) -> Tensor:
    """`x` through SiLU, in place."""
    compiled = _for(x)
    if compiled is None:
        return twins.silu(x)
    compiled.silu(x.data_ptr(), _TYPES[x.dtype], *x.shape, get_num_threads())
    return x


def quantise(x: Tensor, centre: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Each frame of `x - centre` [D] in `steps` steps from its least value to its greatest → uint8 [T, D], and [T, 2]:
    the size of a step, and the least value."""
    compiled = _for(x)
    if compiled is None:
        return twins.quantise(x, centre, steps)
    out, found = torch.empty(x.shape, dtype=torch.uint8), torch.empty(x.shape[0], 2)
    operands = (x.data_ptr(), _TYPES[x.dtype], centre.data_ptr(), *x.shape, steps)
    compiled.quantise(*operands, out.data_ptr(), found.data_ptr(), get_num_threads())
    return out, found


def rescale(  # noqa: PLR0913 - the kernel's operands
    x: Tensor, step_and_least: Tensor, sums: Tensor, bias: Tensor, dtype: torch.dtype, *, silu: bool = False
) -> Tensor:
    """The product of what was quantised so and weights whose rows have these `sums`, plus `bias`, through SiLU."""
    compiled = _for(x)
    if compiled is None:
        return twins.rescale(x, step_and_least, sums, bias, dtype, silu=silu)
    out = torch.empty(x.shape, dtype=dtype)
    operands = (x.data_ptr(), step_and_least.data_ptr(), sums.data_ptr(), bias.data_ptr(), int(silu))
    compiled.rescale(*operands, *x.shape, out.data_ptr(), _TYPES[dtype], get_num_threads())
    return out


def requantise(  # noqa: PLR0913, PLR0917 - the kernel's operands
    x: Tensor, step_and_least: Tensor, sums: Tensor, bias: Tensor, centre: Tensor, steps: int, *, silu: bool = False
) -> tuple[Tensor, Tensor]:
    """`quantise` of what `rescale` gives; `step_and_least` is used up."""
    compiled = _for(x)
    if compiled is None:
        return twins.quantise(twins.rescale(x, step_and_least, sums, bias, x.dtype, silu=silu), centre, steps)
    n_threads = get_num_threads()
    out, scratch = torch.empty(x.shape, dtype=torch.uint8), torch.empty(n_threads, x.shape[1])
    operands = (x.data_ptr(), step_and_least.data_ptr(), sums.data_ptr(), bias.data_ptr(), int(silu))
    compiled.requantise(*operands, centre.data_ptr(), scratch.data_ptr(), *x.shape, steps, out.data_ptr(), n_threads)
    return out, step_and_least


def add_norm(x: Tensor, y: Tensor | None, *, dtype: torch.dtype) -> Tensor:
    """Add `y` to the float32 `x`, in place → each frame of the sum with mean 0 and variance 1."""
    compiled = _for(x)
    if compiled is None:
        return twins.add_norm(x, y, dtype)
    return _add_norm(compiled, x, y, None, None, dtype)


def norm(x: Tensor, gain: Tensor, shift: Tensor, *, add: Tensor | None = None) -> Tensor:
    """Each frame of `x`, or of the float32 `add` plus `x`, normalised, times `gain` [D], plus `shift` [D].

    In `x`'s dtype, or in that of `add`, which is used up.
    """
    compiled = _for(x)
    if compiled is None:
        return twins.norm(x, gain, shift, add)
    return _add_norm(compiled, add, x, gain, shift, x.dtype if add is None else torch.float32)


def _add_norm(  # noqa: PLR0913, PLR0917 - the kernel's operands
    compiled: CDLL, x: Tensor | None, y: Tensor | None, gain: Tensor | None, shift: Tensor | None, dtype: torch.dtype
) -> Tensor:
    frames = x if y is None else y
    assert frames is not None
    out = torch.empty(frames.shape, dtype=dtype)
    factors = (_address(gain), _address(shift), *frames.shape)
    operands = (_address(x), _address(y), _TYPES[frames.dtype], *factors)
    compiled.add_norm(*operands, out.data_ptr(), _TYPES[dtype], get_num_threads())
    return out


def rotate(x: Tensor, gain: Tensor, shift: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the pairs of each head's halves in `x * gain + shift` by the frame's angles [T, head / 2]."""
    compiled = _for(x)
    if compiled is None:
        return twins.rotate(x, gain, shift, cosine, sine)
    n_threads, (rows, half) = get_num_threads(), cosine.shape
    out, scratch = torch.empty_like(x), torch.empty(n_threads, x.shape[1])
    operands = (x.data_ptr(), _TYPES[x.dtype], *(table.data_ptr() for table in (gain, shift, cosine, sine, scratch)))
    compiled.rotate(*operands, rows, x.shape[1] // (2 * half), half, out.data_ptr(), n_threads)
    return out


def glu(x: Tensor) -> Tensor:
    """[T, 2 D] → [T, D]: the first half times the sigmoid of the second."""
    compiled = _for(x)
    if compiled is None:
        return twins.glu(x)
    rows, columns = x.shape[0], x.shape[1] // 2
    out = torch.empty(rows, columns, dtype=x.dtype)
    compiled.glu(x.data_ptr(), _TYPES[x.dtype], rows, columns, out.data_ptr(), get_num_threads())
    return out


def softmax(x: Tensor) -> Tensor:
    """Soft-max over the last dimension, in place where that is faster: use what it returns."""
    compiled = _for(x)
    if compiled is None:
        return twins.softmax(x)
    columns, n_threads = x.shape[-1], get_num_threads()
    scratch = torch.empty(n_threads, ROWS_ABREAST, columns)
    compiled.softmax(x.data_ptr(), _TYPES[x.dtype], scratch.data_ptr(), x.numel() // columns, columns, n_threads)
    return x


def _for(x: Tensor) -> CDLL | None:
    return library() if x.device.type == "cpu" and x.dtype in _TYPES and x.is_contiguous() else None


def _address(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()
