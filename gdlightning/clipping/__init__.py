"""Clipping."""
