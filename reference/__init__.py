"""The network as upstream writes it, and checkpoints for it: what tests, tools and benchmarks compare with."""
