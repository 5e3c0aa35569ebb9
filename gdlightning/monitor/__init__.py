"""Instruments that measure a step of a training; ``callbacks/monitor.py`` says when."""
