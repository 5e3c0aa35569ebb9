"""Loss landscapes of trained networks, and races of optimizers on test functions."""
