"""Comparison of optimizers over many runs."""
