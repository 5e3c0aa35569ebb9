"""The experiments, one per file.

The module docstring contains the claim in one line, followed by the setup. Each module defines

- ``SOURCE``: the publication that makes the claim,
- ``measure(seed)``: the measurements of one seed, as plain values,
- ``conclude(found)``: the effects and the verdict, by a rule over all seeds,
- ``draw(found, theme)``: the figure,

and optionally ``SEEDS``, the number of seeds (default 5), and ``ALONE = True`` if it measures time,
so that its seeds must not run in parallel. New files are discovered automatically; ``ORDER`` in
``experiment.py`` sets their position in the report.
"""
