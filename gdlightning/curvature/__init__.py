"""Curvature of a loss: Hessian products, extreme eigenvalues, spectral density, stability."""
