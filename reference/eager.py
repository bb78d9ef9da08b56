"""GigaAM v3 CTC in plain eager PyTorch: the baseline to be faster than, and the oracle to agree with.

Module and parameter names are upstream's, so that `state_dict` of a checkpoint loads as it is. Everything runs the way
upstream runs it: `F.linear`, `scaled_dot_product_attention`, Conv1d over channels, no packed weights. It also trains.

Shapes: B batch, S samples, F mel frames, T encoder frames (about F / 4), M mels, D model width, H heads, V classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLE_RATE = 16000
HOP_LENGTH = SAMPLE_RATE // 100  # 10 ms
N_FFT = SAMPLE_RATE // 50  # 20 ms
MEL_FLOOR, MEL_CEILING = 1e-9, 1e9


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """`cfg.encoder` of a checkpoint, v3's values by default."""

    feat_in: int = 64
    n_layers: int = 16
    d_model: int = 768
    subs_kernel_size: int = 5
    ff_expansion_factor: int = 4
    pos_emb_max_len: int = 5000  # also the rotary base
    n_heads: int = 16
    conv_kernel_size: int = 5

    @classmethod
    def from_cfg(cls, cfg: Mapping[str, Any]) -> EncoderConfig:
        return cls(**{name: cfg[name] for name in cls.__dataclass_fields__})


def mel_filterbank(n_freqs: int, n_mels: int) -> Tensor:
    """Triangles on the HTK scale without normalisation, [n_freqs, n_mels]; checkpoints bring their own."""
    top = 2595.0 * torch.log10(torch.tensor(1.0 + SAMPLE_RATE / 2 / 700.0))
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, float(top), n_mels + 2) / 2595.0) - 1.0)
    frequencies = torch.linspace(0.0, SAMPLE_RATE / 2, n_freqs)
    slopes = edges[None, :] - frequencies[:, None]  # [n_freqs, n_mels + 2]
    rising = -slopes[:, :-2] / (edges[1:-1] - edges[:-2])
    falling = slopes[:, 2:] / (edges[2:] - edges[1:-1])
    return torch.clamp(torch.minimum(rising, falling), min=0.0)


class Spectrogram(nn.Module):
    window: Tensor

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(n_fft))

    def forward(self, x: Tensor) -> Tensor:
        """[B, S] → power, [B, n_fft // 2 + 1, F]"""
        n_fft = self.window.numel()
        spectrum = torch.stft(x, n_fft, HOP_LENGTH, window=self.window, center=False, return_complex=True)
        return spectrum.abs().square()


class MelScale(nn.Module):
    fb: Tensor

    def __init__(self, n_freqs: int, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("fb", mel_filterbank(n_freqs, n_mels))

    def forward(self, power: Tensor) -> Tensor:
        """[B, n_freqs, F] → [B, M, F]"""
        return (power.transpose(1, 2) @ self.fb).transpose(1, 2)


class MelSpectrogram(nn.Module):
    def __init__(self, n_mels: int, n_fft: int) -> None:
        super().__init__()
        self.spectrogram = Spectrogram(n_fft)
        self.mel_scale = MelScale(n_fft // 2 + 1, n_mels)

    def forward(self, x: Tensor) -> Tensor:
        mel: Tensor = self.mel_scale(self.spectrogram(x))
        return mel


class Preprocessor(nn.Module):
    """16 kHz samples in [-1, 1] to log-mels. Not centred, so a recording's frames do not depend on what follows it."""

    def __init__(self, n_mels: int = 64, n_fft: int = N_FFT) -> None:
        super().__init__()
        self.featurizer = nn.ModuleList([MelSpectrogram(n_mels, n_fft)])
        self.n_fft = n_fft

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, S], samples [B] → [B, M, F], frames [B]"""
        mel = self.featurizer[0](x).clamp(MEL_FLOOR, MEL_CEILING).log()
        return mel, (lengths - self.n_fft) // HOP_LENGTH + 1


def valid(lengths: Tensor, size: int) -> Tensor:
    """True where a frame belongs to its item: [B, size]"""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]


class Subsampling(nn.Module):
    """Two strided convolutions over mel channels, together x4."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.kernel = config.subs_kernel_size
        self.padding = (self.kernel - 1) // 2
        self.conv = nn.Sequential(
            nn.Conv1d(config.feat_in, config.d_model, self.kernel, stride=2, padding=self.padding),
            nn.ReLU(),
            nn.Conv1d(config.d_model, config.d_model, self.kernel, stride=2, padding=self.padding),
            nn.ReLU(),
        )

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, M, F] → [B, T, D]. Padding is zeroed before each convolution: the mel of silence is not zero."""
        for stage in (self.conv[:2], self.conv[2:]):
            x = stage(x * valid(lengths, x.shape[2])[:, None])
            lengths = (lengths + 2 * self.padding - self.kernel) // 2 + 1
        return x.transpose(1, 2), lengths


def rotary_tables(frames: int, width: int, base: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """cos and sin of each position and frequency, [frames, width], both halves of the width alike."""
    frequencies = base ** -(torch.arange(0, width, 2, device=device).float() / width)
    angles = torch.outer(torch.arange(frames, device=device).float(), frequencies)
    angles = torch.cat([angles, angles], dim=1)
    return angles.cos(), angles.sin()


Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""q, k, v [B, H, T, D / H] and a mask of the keys → what each position attends to, [B, H, T, D / H]"""


class RotaryAttention(nn.Module):
    """The rotation acts on the layer-normed input, head by head, before q and k are projected; v sees it unrotated."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attend: Attend = F.scaled_dot_product_attention
        self.linear_q = nn.Linear(d_model, d_model)
        self.linear_k = nn.Linear(d_model, d_model)
        self.linear_v = nn.Linear(d_model, d_model)
        self.linear_out = nn.Linear(d_model, d_model)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """x [B, T, D], mask [B, 1, 1, T] true where a key may be attended to"""
        batch, frames, width = x.shape
        heads = (batch, frames, self.n_heads, width // self.n_heads)
        cos, sin = (table[:, None, :] for table in rotary)  # [T, 1, D / H]
        left, right = x.view(heads).chunk(2, dim=-1)
        rotated = (x.view(heads) * cos + torch.cat([-right, left], dim=-1) * sin).reshape(x.shape)
        q, k, v = (
            linear(source).view(heads).transpose(1, 2)  # [B, H, T, D / H]
            for linear, source in ((self.linear_q, rotated), (self.linear_k, rotated), (self.linear_v, x))
        )
        attended = self.attend(q, k, v, mask)
        out: Tensor = self.linear_out(attended.transpose(1, 2).reshape(batch, frames, width))
        return out


class Convolution(nn.Module):
    def __init__(self, d_model: int, kernel_size: int) -> None:
        super().__init__()
        self.pointwise_conv1 = nn.Conv1d(d_model, 2 * d_model, 1)
        self.depthwise_conv = nn.Conv1d(d_model, d_model, kernel_size, padding=(kernel_size - 1) // 2, groups=d_model)
        self.batch_norm = nn.LayerNorm(d_model)  # upstream's name for whichever norm stands here
        self.pointwise_conv2 = nn.Conv1d(d_model, d_model, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B, T, D], mask [B, T] true for real frames"""
        x = F.glu(self.pointwise_conv1(x.transpose(1, 2)), dim=1)
        if mask is not None:
            x = x * mask[:, None]
        x = self.depthwise_conv(x).transpose(1, 2)
        x = F.silu(self.batch_norm(x)).transpose(1, 2)
        out: Tensor = self.pointwise_conv2(x).transpose(1, 2)
        return out


class FeedForward(nn.Module):
    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(d_model, d_ff)
        self.linear2 = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear2(F.silu(self.linear1(x)))
        return out


class Layer(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        d_model, d_ff = config.d_model, config.d_model * config.ff_expansion_factor
        self.norm_feed_forward1 = nn.LayerNorm(d_model)
        self.feed_forward1 = FeedForward(d_model, d_ff)
        self.norm_self_att = nn.LayerNorm(d_model)
        self.self_attn = RotaryAttention(d_model, config.n_heads)
        self.norm_conv = nn.LayerNorm(d_model)
        self.conv = Convolution(d_model, config.conv_kernel_size)
        self.norm_feed_forward2 = nn.LayerNorm(d_model)
        self.feed_forward2 = FeedForward(d_model, d_ff)
        self.norm_out = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """x [B, T, D], mask [B, T] true for real frames"""
        keys = None if mask is None else mask[:, None, None, :]
        x = x + 0.5 * self.feed_forward1(self.norm_feed_forward1(x))
        x = x + self.self_attn(self.norm_self_att(x), rotary, keys)
        x = x + self.conv(self.norm_conv(x), mask)
        x = x + 0.5 * self.feed_forward2(self.norm_feed_forward2(x))
        out: Tensor = self.norm_out(x)
        return out


class Encoder(nn.Module):
    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.pre_encode = Subsampling(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.n_layers))

    def forward(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, M, F], frames [B] → [B, T, D], frames [B]"""
        x, lengths = self.pre_encode(mel, lengths)
        head_width = self.config.d_model // self.config.n_heads
        rotary = rotary_tables(x.shape[1], head_width, self.config.pos_emb_max_len, x.device)
        full = bool((lengths == x.shape[1]).all())
        mask = None if full else valid(lengths, x.shape[1])
        for layer in self.layers:
            x = layer(x, rotary, mask)
        return x, lengths


class CTCHead(nn.Module):
    def __init__(self, d_model: int, num_classes: int) -> None:
        super().__init__()
        self.decoder_layers = nn.Sequential(nn.Conv1d(d_model, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] → log-probabilities [B, T, V], the blank last"""
        logits: Tensor = self.decoder_layers(x.transpose(1, 2)).transpose(1, 2)
        return logits.log_softmax(dim=-1)


class EagerCTC(nn.Module):
    """The whole network, from samples to log-probabilities."""

    def __init__(self, config: EncoderConfig, vocabulary: list[str]) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.preprocessor = Preprocessor(config.feat_in)
        self.encoder = Encoder(config)
        self.head = CTCHead(config.d_model, len(vocabulary) + 1)

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """[B, S], samples [B] → log-probabilities [B, T, V], frames [B]"""
        encoded, frames = self.encoder(*self.preprocessor(waves, lengths))
        return self.head(encoded), frames

    @torch.inference_mode()
    def transcribe(self, waves: list[Tensor]) -> list[str]:
        """Greedy text of float32 recordings [S], all in one batch."""
        lengths = torch.tensor([wave.numel() for wave in waves])
        log_probs, frames = self(nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths)
        return [self.spell(row[:n].argmax(-1)) for row, n in zip(log_probs, frames.tolist(), strict=True)]

    def spell(self, classes: Tensor) -> str:
        """Merge repeats, drop blanks: [T] → text"""
        merged = torch.unique_consecutive(classes)
        return "".join(self.vocabulary[c] for c in merged.tolist() if c < len(self.vocabulary)).strip()


def from_checkpoint(checkpoint: Mapping[str, Any]) -> EagerCTC:
    """`{"cfg": ..., "state_dict": ...}` of a v3 CTC model, already read from its file, as fp32."""
    cfg = checkpoint["cfg"]
    model = EagerCTC(EncoderConfig.from_cfg(cfg["encoder"]), list(cfg["decoding"]["vocabulary"]))
    model.load_state_dict({name: tensor.float() for name, tensor in checkpoint["state_dict"].items()})
    return model.eval()
