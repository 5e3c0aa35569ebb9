"""The verbs of the command line as Python functions: fit, load, predict, test, compare, …."""
