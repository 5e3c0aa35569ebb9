"""Paths of optimizers on test functions."""
