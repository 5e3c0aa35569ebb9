"""Curvature of a loss: Hessian-vector products, eigenvalues, spectral density and stability."""
