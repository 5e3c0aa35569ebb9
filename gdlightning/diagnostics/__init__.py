"""Diagnosis of a run from its measurements: verdicts with advice and evidence."""
