"""``gdl help``: the table of verbs, or the help of one verb."""

from __future__ import annotations

from gdlightning.cli import run_verb, verbs

GROUP = "look up"
SUMMARY = "Explain a verb, as gdl VERB --help does"
USAGE = "gdl help VERB"


def main(argv: list[str]) -> int:
    """Print the table of verbs, or the help of the verb that is named.

    Raises:
        UserError: there is no such verb.
    """
    if not argv or argv[0].startswith("-"):
        print(overview())
        return 0
    return run_verb(argv[0], [*argv[1:], "--help"])


def overview() -> str:
    """Return the table of verbs for the terminal, in its groups."""
    found = verbs()
    width = max(len(verb.name) for verb in found)
    lines = ["gdl: train any PyTorch model with any optimizer."]
    group = None
    for verb in found:
        if verb.group != group:
            group = verb.group
            lines += ["", f"{group}:"]
        lines.append(f"  {verb.name:<{width}}  {verb.summary}")
    lines += [
        "",
        "Start with: gdl fit --config configs/tabular.yaml",
        "gdl help VERB explains a verb. --debug shows the traceback of an error.",
        "gdl --version prints the version.",
    ]
    return "\n".join(lines)
