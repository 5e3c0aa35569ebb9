"""Lightning callbacks of a run: logging, measurements, checkpoints, stops."""
