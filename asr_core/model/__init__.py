"""Waveforms → hypotheses: weights, the network, and the precisions that it computes in.

Shapes are written in these letters: B recordings in a batch, S samples, F mel frames (a hundred a second),
T encoder frames (about F / 4), M mel bands, D the encoder's width, H heads, V labels with the blank, which is the last.
"""
