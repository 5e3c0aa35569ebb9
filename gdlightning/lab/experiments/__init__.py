"""One experiment a file. Its docstring says the claim in a line, then the set-up.

It has ``SOURCE``, who claims it; ``measure(seed)``, a plain record of what one seed showed;
``conclude(found)``, effects and a verdict by a rule over all seeds; ``draw(found, theme)``, the
figure. It may have ``SEEDS`` (how many, 5 if not said) and ``ALONE = True`` where it measures time,
so that nothing else runs beside it. A new file is found by itself; ``ORDER`` in ``experiment.py``
gives it a place in the account.
"""
