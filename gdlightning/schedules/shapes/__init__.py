"""Shapes of learning-rate schedules: one per file, found by its name."""
