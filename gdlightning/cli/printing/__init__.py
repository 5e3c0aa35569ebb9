"""Text and figures that several lines of a verb's output consist of."""
