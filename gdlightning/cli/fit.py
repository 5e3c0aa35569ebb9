"""``gdl fit``: train a model, test it, and write a run folder."""

from __future__ import annotations

from pathlib import Path

from gdlightning.config.expand_paths import expand
from gdlightning.config.settings import located
from gdlightning.errors import UserError
from gdlightning.runs.fit import fit
from gdlightning.runs.load_config import load
from gdlightning.runs.run_folder import CONFIG, named_run, to_yaml

GROUP = "train"
SUMMARY = "Train a model, test it, and write a run folder"
USAGE = "gdl fit --config FILE [--optimizer NAME] [--KEY VALUE ...]"


def main(argv: list[str]) -> int:
    """Train the run that the config and flags describe.

    Raises:
        UserError: a setting is wrong; raised before anything is written.
    """
    argv = ["--config" if argument == "-c" else argument for argument in argv]
    if set(argv) & {"--help", "-h"} or any(a.partition("=")[0].endswith(".help") for a in argv):
        from gdlightning.cli.printing.fit_help import show

        return show(argv)
    config, switches = load(_with_own_config(argv))
    if switches.get("print_config"):
        print(to_yaml(config.values), end="")
        return 0
    try:
        if config.values["check_resume"] is not None:
            from gdlightning.runs.check_resume import check_resume

            return check_resume(config, config.values["check_resume"])
        if config.values["dry_run"]:
            from gdlightning.runs.dry_run import dry_run

            dry_run(config)
            return 0
        fit(config)
    except UserError as error:
        raise located(error, config.given) from error
    return 0


def _with_own_config(argv: list[str]) -> list[str]:
    """Add the run's config to ``gdl fit --resume RUN`` without ``--config``.

    Raises:
        UserError: the run does not exist.
    """
    given = [a.partition("=")[0] for a in argv]
    if "--resume" not in given or "--config" in given or "--model" in given:
        return argv
    position = given.index("--resume")
    where = argv[position].partition("=")[2] or "".join(argv[position + 1 : position + 2])
    if where == "auto" or not where or where.startswith("--"):
        return argv
    folder = named_run(Path(expand(where, "resume")))
    return ["--config", str(folder / CONFIG), *argv]
