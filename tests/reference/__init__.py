"""Updates of optimizers in float64, written from their papers, to check the libraries against.

No file here imports torch.optim or pytorch_optimizer. The default of every field is the paper's
form; a field that a docstring calls a switch turns on what a library does instead.
"""
