"""Files that are whole or not there at all: checkpoints, logs, small texts."""
