"""The learning-rate range test: short training with growing learning rates."""
