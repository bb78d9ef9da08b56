"""An RNN-T head for the demo model's encoder, to measure keywords with: it learns what the CTC head hears.

On each frame the target is the CTC head's distribution, given the labels so far; a label that goes on is a blank. No
transcripts are needed, and where the CTC head is unsure, so is the transducer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from asr_core.model.heads import RnntHead
from asr_core.model.parts import RnntHeadConfig, Tensors

HIDDEN = 320
BATCH = 32
RATE = 2e-3


class Transducer(nn.Module):
    """The prediction and joint networks of v3_rnnt, by their names in its checkpoints."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.decoder = nn.ModuleDict(
            {
                "embed": nn.Embedding(classes, HIDDEN, padding_idx=classes - 1),
                "lstm": nn.LSTM(HIDDEN, HIDDEN, batch_first=True),
            }
        )
        self.joint = nn.ModuleDict(
            {
                "pred": nn.Linear(HIDDEN, HIDDEN),
                "enc": nn.Linear(width, HIDDEN),
                "joint_net": nn.Sequential(nn.ReLU(), nn.Linear(HIDDEN, classes)),
            }
        )

    def forward(self, encoded: Tensor, labels: Tensor, frames: Tensor, places: Tensor) -> Tensor:
        """Encoder frames [N, D], labels [B, U] from the blank on, node (frame, place in B x U) → log-probs [M, V]."""
        predicted, _ = self.decoder["lstm"](self.decoder["embed"](labels))
        inner = self.joint["enc"](encoded[frames]) + self.joint["pred"](predicted.flatten(0, 1)[places])
        nodes: Tensor = self.joint["joint_net"](inner)
        return nodes.log_softmax(dim=1)


def nodes_of(log_probs: Tensor) -> tuple[list[int], Tensor, Tensor, Tensor]:
    """Along the CTC head's best path [T, V]: its labels, and for each node its frame, place and target [M, V]."""
    blank = log_probs.shape[1] - 1
    winners = log_probs.argmax(dim=1).tolist()
    probs = log_probs.exp()
    labels, frames, places, targets = [blank], [], [], []
    nothing = torch.zeros(blank + 1)
    nothing[blank] = 1
    before = blank
    for frame, winner in enumerate(winners):
        target = probs[frame].clone()
        if before != blank:  # what goes on is no label of its own
            target[blank] += target[before]
            target[before] = 0
        frames.append(frame)
        places.append(len(labels) - 1)
        targets.append(target)
        if winner not in (blank, before):
            labels.append(winner)
            frames.append(frame)
            places.append(len(labels) - 1)
            targets.append(nothing)
        before = winner
    return labels, torch.tensor(frames), torch.tensor(places), torch.stack(targets)


def trained(encoded: Sequence[Tensor], log_probs: Sequence[Tensor], epochs: int, seed: int = 0) -> Transducer:
    """A head that has learnt from these recordings: encoder frames [T, D] and the CTC head's [T, V]."""
    torch.manual_seed(seed)
    nodes = [nodes_of(scores) for scores in log_probs]
    head = Transducer(encoded[0].shape[1], log_probs[0].shape[1])
    optimizer = torch.optim.AdamW(head.parameters(), RATE)
    steps = epochs * (len(nodes) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, steps)
    for _ in range(epochs):
        order = torch.randperm(len(nodes)).tolist()
        for begin in range(0, len(nodes) - BATCH + 1, BATCH):
            chosen = order[begin : begin + BATCH]
            loss = _loss(head, [encoded[i] for i in chosen], [nodes[i] for i in chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch has no types there
            optimizer.step()
            schedule.step()
    return head


def _loss(
    head: Transducer, encoded: Sequence[Tensor], nodes: Sequence[tuple[list[int], Tensor, Tensor, Tensor]]
) -> Tensor:
    labels = pad_sequence([torch.tensor(known) for known, *_ in nodes], batch_first=True)
    frames, places, offset = [], [], 0
    for row, (frames_here, (_, at, place, _)) in enumerate(zip(encoded, nodes, strict=True)):
        frames.append(at + offset)
        places.append(place + row * labels.shape[1])
        offset += len(frames_here)
    targets = torch.cat([target for *_, target in nodes])
    heard = head(torch.cat(list(encoded)), labels, torch.cat(frames), torch.cat(places))
    return functional.kl_div(heard, targets, reduction="batchmean")


def as_head(head: Transducer, width: int, labels: Sequence[str]) -> RnntHead:
    """The same as the recogniser has it."""
    classes = len(labels) + 1
    config = RnntHeadConfig.model_validate(
        {
            "_target_": "gigaam.decoder.RNNTHead",
            "decoder": {"pred_hidden": HIDDEN, "pred_rnn_layers": 1, "num_classes": classes},
            "joint": {"enc_hidden": width, "pred_hidden": HIDDEN, "joint_hidden": HIDDEN, "num_classes": classes},
        }
    )
    tensors = {name: tensor.detach() for name, tensor in head.state_dict().items()}
    return RnntHead(width, config, labels, Tensors(tensors), torch.device("cpu"))
