"""What can be found, one kind a file: ``find(record)`` gives verdicts."""
