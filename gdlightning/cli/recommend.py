"""``gdl recommend``: optimizer, schedule and clipping for a config, with reasons."""

from __future__ import annotations

import argparse
import json
from typing import Any

GROUP = "choose"
SUMMARY = "Recommend optimizer, schedule and clipping for a config, with reasons"
USAGE = "gdl recommend --config FILE"


def main(argv: list[str]) -> int:
    """Print the recommendation for a config as YAML.

    Raises:
        UserError: the config is wrong, or sets no number of steps or epochs.
    """
    parser = argparse.ArgumentParser(
        "gdl recommend",
        description="Recommend optimizer, schedule and clipping for a config, with reasons. "
        "Flags of gdl fit change the config.",
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", action="append", required=True, help="a YAML file")
    parser.add_argument("--measure", action="store_true", help="refine it with a few short runs")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    given, rest = parser.parse_known_args(argv)
    from gdlightning.config.early_checks import check_glance
    from gdlightning.config.schema import General
    from gdlightning.config.settings import merge, read_flags
    from gdlightning.runs.quiet import quiet

    files = [part for path in given.config for part in ("--config", path)]
    settings, _ = read_flags([*files, *rest], set())
    merged = merge(settings)
    check_glance(merged, General)
    quiet()
    from gdlightning.runs.auto_optimizer import recommended, without_optimizer

    alone = {
        k: s
        for k, s in without_optimizer(merged).items()
        if k.partition(".")[0] not in ("schedule", "clip")
    }
    facts, found, refined = recommended(alone, given.measure)
    if given.format == "json":
        record = {
            "facts": facts.as_dict(),
            "config": found.sections,
            "reasons": [vars(r) for r in found.reasons],
            "others": [dict(o) for o in found.others],
            "measured": vars(refined) if refined else None,
        }
        print(json.dumps(record, indent=2))
        return 0
    print(text(facts, found, refined))
    return 0


def text(facts: Any, found: Any, refined: Any) -> str:
    """Return the recommended sections as YAML, with the reasons as comments."""
    import yaml

    kind = "fine-tuning" if facts.finetuning else "training from scratch"
    lines = [
        f"# A {facts.net} net, {facts.parameters:,} parameters, {kind}: {facts.steps:,} steps, "
        f"batches of {facts.batch:,} out of {facts.examples:,} examples."
    ]
    lines += [f"# {r.what}\n#   {r.why} ({r.source})" for r in found.reasons]
    if refined:
        lines.append(f"# {refined.words}")
    else:
        lines.append("# A place to begin. --measure refines it on your data; gdl compare tests it.")
    for section, options in found.sections.items():
        shown = yaml.safe_dump(options, default_flow_style=True, sort_keys=False, width=1000)
        lines.append(f"{section}: {shown.strip()}")
    return "\n".join(lines)
