"""Optimizers: entries, registry, parameter groups and chains."""
