"""The checks of a run, one per module: ``find(record)`` yields verdicts."""
