"""Voice activity detection: PCM blocks → speech probabilities → speech spans. Silero VAD 6, streaming.

Probabilities and spans equal those of the `silero_vad` package on the whole signal (MIT,
https://github.com/snakers4/silero-vad). Only the network's LSTM cell is recurrent, so everything before it runs on many
windows at once. The package is read for its weights and never imported, because importing it sets torch's thread count
for the whole process.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from asr_core.audio.hysteresis import SpeechSpans
from asr_core.errors import ModelError
from asr_core.types import INT16_SCALE, VAD_WINDOW, Pcm, Probabilities, Span, VadOptions

CONTEXT = 64
"""Samples of the window before that the network hears ahead of each window."""

BATCH_WINDOWS = 128
"""Windows (4.1 s) computed at once, unless a stream is told otherwise. Always as many but for the last, since matrix
products of other shapes round differently: so a probability is the same, bit for bit, whatever blocks its audio came
in."""

LAST_WINDOWS = 32
"""The last batch is zero-padded to a multiple of so many: most short recordings are all last batch."""

N_FFT = 256
HOP = 128
HIDDEN = 128

SILERO_NAMES = {
    **{
        f"conv{i + 1}.{part}": f"_model.encoder.{i}.reparam_conv.{part}"
        for i in range(4)
        for part in ("weight", "bias")
    },
    **{f"lstm.{part}_l0": f"_model.decoder.rnn.{part}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")},
    "final_conv.weight": "_model.decoder.decoder.2.weight",
    "final_conv.bias": "_model.decoder.decoder.2.bias",
}
"""Our weights' names → theirs in Silero's file."""

SILERO_BASIS = "_model.stft.forward_basis_buffer"
"""Its Fourier transform, written as a convolution, [N_FFT + 2, 1, N_FFT]: windowed cosines, then sines."""

LstmState = tuple[Tensor, Tensor]
"""Hidden and cell state, [1, HIDDEN] each."""


class SileroNetwork(nn.Module):
    """Silero VAD's network for 16 kHz. It keeps no stream's state: one instance serves any number of streams.

    It begins with a Fourier transform, which the fast one makes a fifth of all its work cheaper.
    """

    def __init__(self) -> None:
        super().__init__()
        self.window = nn.Parameter(torch.empty(N_FFT))
        self.conv1 = nn.Conv1d(N_FFT // 2 + 1, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, HIDDEN, 3, padding=1)
        self.lstm = nn.LSTM(HIDDEN, HIDDEN)
        self.final_conv = nn.Conv1d(HIDDEN, 1, 1)

    @classmethod
    def load(cls) -> SileroNetwork:
        """Build the network with the weights in the installed `silero_vad` package.

        Raises:
            ModelError: the package is not installed, or its weights are not of this network.
        """
        package = find_spec("silero_vad")
        if package is None or not package.submodule_search_locations:
            raise ModelError("The silero-vad package is not installed: pip install silero-vad")
        try:
            weights = _script_weights(Path(package.submodule_search_locations[0], "data", "silero_vad.jit"))
            with torch.device("meta"):
                network = cls()
            ours = {name: weights[silero] for name, silero in SILERO_NAMES.items()}
            network.load_state_dict({"window": _window(weights[SILERO_BASIS]), **ours}, assign=True)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError("The installed silero-vad package has no weights of Silero VAD 6") from error
        return network.eval().requires_grad_(False)

    def forward(self, windows: Tensor, state: LstmState) -> tuple[Tensor, LstmState]:
        """Consecutive windows [N, CONTEXT + VAD_WINDOW] in [-1, 1] → speech probabilities [N], state after them."""
        frames = F.pad(windows, (0, CONTEXT), mode="reflect").unfold(1, N_FFT, HOP)  # [N, 4, N_FFT]
        spectra = torch.fft.rfft(frames * self.window)  # [N, 4, N_FFT / 2 + 1]; their `abs` takes three times as long
        x = (spectra.real.square() + spectra.imag.square()).sqrt().transpose(1, 2)
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = F.relu(conv(x))
        hidden, state = self.lstm(x.squeeze(2), state)  # [N, HIDDEN]
        return self.final_conv(F.relu(hidden).unsqueeze(2)).sigmoid().flatten(), state


def _script_weights(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript is, and Silero's file is still that
        script = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]  # untyped in torch
    return dict(script.state_dict())


def _window(basis: Tensor) -> Tensor:
    """The window of `basis`, [N_FFT]. Raises ValueError if it is not a Fourier transform's."""
    window = basis[0, 0].clone()  # times the cosine of 0 Hz
    spectra = torch.fft.rfft(torch.diag(window)).T  # [N_FFT / 2 + 1, N_FFT]
    if not torch.allclose(basis[:, 0], torch.cat((spectra.real, spectra.imag)), rtol=0, atol=1e-6):
        raise ValueError("not a Fourier transform")
    return window


class SpeechProbabilities:
    """One stream's way through the network: any blocks in, a probability for each window of VAD_WINDOW samples out."""

    def __init__(self, network: SileroNetwork, batch_windows: int = BATCH_WINDOWS) -> None:
        self._network = network
        self._step = batch_windows * VAD_WINDOW
        self._state = (torch.zeros(1, HIDDEN), torch.zeros(1, HIDDEN))
        self._samples = torch.zeros(CONTEXT)  # the last window's tail, and what is not computed yet

    @torch.inference_mode()
    def push(self, block: Pcm | NDArray[np.float32] | Tensor) -> Probabilities:
        """Take int16 samples, or floats in [-1, 1], [S]; give the probabilities [N] of all batches they complete."""
        samples = np.asarray(block)
        scale = np.float32(1 / INT16_SCALE if samples.dtype == np.int16 else 1)
        self._samples = torch.cat((self._samples, torch.from_numpy(samples.astype(np.float32) * scale)))
        batches = [np.empty(0, np.float32)]
        while len(self._samples) >= CONTEXT + self._step:
            batches.append(self._next_batch(self._step))
        return np.concatenate(batches)

    @torch.inference_mode()
    def flush(self) -> Probabilities:
        """Give the remaining windows' probabilities, the last window zero-padded."""
        n_windows = -(-(len(self._samples) - CONTEXT) // VAD_WINDOW)
        step = min(self._step, -(-n_windows // LAST_WINDOWS) * LAST_WINDOWS * VAD_WINDOW)
        if not step:
            return np.empty(0, np.float32)
        self._samples = F.pad(self._samples, (0, CONTEXT + step - len(self._samples)))
        return self._next_batch(step)[:n_windows]

    def _next_batch(self, step: int) -> Probabilities:
        """Of the next `step` samples."""
        windows = self._samples[: CONTEXT + step].unfold(0, CONTEXT + VAD_WINDOW, VAD_WINDOW)
        probabilities, self._state = self._network(windows, self._state)
        self._samples = self._samples[step:]
        found: Probabilities = probabilities.numpy()
        return found


def speech_spans(blocks: Iterable[Pcm | Tensor], *, threshold: float = 0.25) -> Iterator[Span]:
    """Find the speech in a recording: 16 kHz blocks of any size, int16 or floats in [-1, 1] → ordered spans."""
    probabilities, spans = SpeechProbabilities(SileroNetwork.load()), SpeechSpans(VadOptions(threshold=threshold))
    total = 0
    for block in blocks:
        total += len(block)
        yield from spans.push(probabilities.push(block))
    yield from spans.push(probabilities.flush())
    yield from spans.flush(total)
