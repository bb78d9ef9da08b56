"""Encoder frames → tokens: CTC and RNN-T, both greedy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from asr_core.model.parts import RnntHeadConfig, Tensors
from asr_core.types import Token

MAX_SYMBOLS = 10
"""Labels that an RNN-T may emit on one frame; upstream's limit."""

LOOKAHEAD = 16
"""Frames that the joint network scores at once while the predictor waits: blanks come in runs about this long."""


class CtcHead:
    """One projection, decoded along the best path (Graves et al., 2006)."""

    def __init__(self, width: int, labels: Sequence[str], tensors: Tensors, device: torch.device) -> None:
        self.labels = labels
        layer = tensors.scope("decoder_layers.0")
        classes = len(labels) + 1
        # In fp32 whatever the encoder runs in: so few columns cost nothing, and probabilities are read from them.
        self.weight = layer.take("weight", classes, width, 1)[..., 0].to(device)
        self.bias = layer.take("bias", classes).to(device)

    def log_probs(self, encoded: Tensor) -> Tensor:
        """[T, D] → [T, V], float32; the blank is the last class."""
        return functional.linear(encoded.float(), self.weight, self.bias).log_softmax(dim=1)

    def decode(self, encoded: Tensor) -> tuple[Token, ...]:
        """[T, D] → tokens."""
        return ctc_greedy(self.log_probs(encoded), self.labels)


def ctc_greedy(log_probs: Tensor, labels: Sequence[str]) -> tuple[Token, ...]:
    """Best path through [T, V], blank last: each label once, on the first of the frames that it wins in a row."""
    best, winners = log_probs.max(dim=1)
    return collapsed(winners, best, labels)


def collapsed(path: Tensor, log_probs: Tensor, labels: Sequence[str]) -> tuple[Token, ...]:
    """The tokens of a path, a label a frame [T], each on the first of the frames that it has in a row."""
    changed = torch.ones_like(path, dtype=torch.bool)
    changed[1:] = path[1:] != path[:-1]
    frames = ((path != len(labels)) & changed).nonzero()[:, 0]
    emitted = zip(path[frames].tolist(), frames.tolist(), log_probs[frames].tolist(), strict=True)
    return tuple(Token(labels[label], frame, log_prob) for label, frame, log_prob in emitted)


class RnntHead:
    """Prediction network, joint network, greedy search (Graves, 2012).

    The prediction network depends on the emitted labels alone, so it runs once an emission; between two, the joint
    network scores several frames at a time.
    """

    def __init__(
        self, width: int, config: RnntHeadConfig, labels: Sequence[str], tensors: Tensors, device: torch.device
    ) -> None:
        self.labels, self.blank = labels, len(labels)
        hidden, inner, classes = config.decoder.pred_hidden, config.joint.joint_hidden, len(labels) + 1
        self.hidden = hidden

        def take(name: str, *shape: int) -> Tensor:
            return tensors.take(name, *shape).to(device)

        self.recurrent = take("decoder.lstm.weight_hh_l0", 4 * hidden, hidden)
        embedding = take("decoder.embed.weight", classes, hidden)
        embedding[self.blank] = 0  # the start symbol: zeros
        bias = take("decoder.lstm.bias_ih_l0", 4 * hidden) + take("decoder.lstm.bias_hh_l0", 4 * hidden)
        self.input_gates = embedding @ take("decoder.lstm.weight_ih_l0", 4 * hidden, hidden).T + bias  # [V, 4 hidden]
        self.predicted = take("joint.pred.weight", inner, hidden)
        self.encoded = take("joint.enc.weight", inner, width)
        self.joint_bias = take("joint.pred.bias", inner) + take("joint.enc.bias", inner)
        self.out = take("joint.joint_net.1.weight", classes, inner)
        self.out_bias = take("joint.joint_net.1.bias", classes)

    def decode(self, encoded: Tensor) -> tuple[Token, ...]:
        """[T, D] → tokens, several on one frame if the model says so."""
        frames = self.joint_frames(encoded)
        tokens: list[Token] = []
        predicted, state = self.start()
        frame, on_this_frame = 0, 0
        while frame < len(frames):
            logits = self.joint(frames[frame : frame + LOOKAHEAD], predicted)
            labels = logits.argmax(dim=1).tolist()
            skipped = next((i for i, label in enumerate(labels) if label != self.blank), len(labels))
            if skipped:
                frame, on_this_frame = frame + skipped, 0
            if skipped == len(labels):
                continue
            label = labels[skipped]
            tokens.append(Token(self.labels[label], frame, logits[skipped].log_softmax(0)[label].item()))
            predicted, state = self.predict(label, state)
            on_this_frame += 1
            if on_this_frame == MAX_SYMBOLS:
                frame, on_this_frame = frame + 1, 0
        return tuple(tokens)

    def joint_frames(self, encoded: Tensor) -> Tensor:
        """[T, D] → what the joint network takes of each frame, [T, joint]."""
        return functional.linear(encoded.float(), self.encoded, self.joint_bias)

    def joint(self, frames: Tensor, predicted: Tensor) -> Tensor:
        """Frames and predictions, [N, joint] or one for all, → logits [N, V]."""
        return functional.linear(functional.relu(frames + predicted), self.out, self.out_bias)

    def start(self) -> tuple[Tensor, Tensor]:
        """The prediction before the first label, and the state."""
        return self.predict(self.blank, self.recurrent.new_zeros(2, self.hidden))

    def predict(self, label: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """One LSTM step from `state` [2, hidden] (output, cell); gates in torch's order."""
        gates = torch.addmv(self.input_gates[label], self.recurrent, state[0])
        input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4)
        cell = forget_gate.sigmoid() * state[1] + input_gate.sigmoid() * cell_gate.tanh()
        output = output_gate.sigmoid() * cell.tanh()
        return self.predicted @ output, torch.stack([output, cell])

    def predict_all(self, labels: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """The same for labels [N] from states [N, 2, hidden] → predictions [N, joint], states."""
        gates = torch.addmm(self.input_gates[labels], states[:, 0], self.recurrent.T)
        input_gate, forget_gate, cell_gate, output_gate = gates.chunk(4, dim=1)
        cells = forget_gate.sigmoid() * states[:, 1] + input_gate.sigmoid() * cell_gate.tanh()
        outputs = output_gate.sigmoid() * cells.tanh()
        return outputs @ self.predicted.T, torch.stack([outputs, cells], dim=1)
