"""The learning-rate range test: a short training over growing learning rates, and its reading."""
