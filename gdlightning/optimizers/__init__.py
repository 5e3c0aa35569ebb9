"""Optimizers: entries, registry, parameter groups, chain."""
