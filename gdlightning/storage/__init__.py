"""Reading and writing of checkpoints, logs and small files, with atomic writes."""
