"""Text and figures that verbs print or draw."""
