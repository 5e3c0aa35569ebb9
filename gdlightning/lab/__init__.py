"""The claims of gradient descent as experiments: what is claimed, what was measured, a verdict."""
