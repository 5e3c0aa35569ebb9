"""Measurements of an optimizer step, taken by the monitor (``callbacks/monitor.py``)."""
