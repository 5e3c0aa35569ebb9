"""``gdl fit --help`` and ``--SECTION.help [NAME]``."""

from __future__ import annotations

from typing import Any

from gdlightning.config.settings import FIXED, NAMED
from gdlightning.errors import UserError
from gdlightning.signature import Option

INTRODUCTION = """\
usage: gdl fit [--config FILE ...] [--KEY VALUE ...]

Train the run that config files and flags describe; later ones take precedence. A new name in a
section resets the options of that section. In YAML a section is {name: NAME, OPTION: VALUE, ...}.

  -c, --config FILE      a YAML file; may be given several times
  --print_config         show the resolved config and stop
  --debug                show the traceback of an error
  --SECTION.help [NAME]  the options of a section, or of a choice in it

sections chosen by name:
  --model NAME           the task: gdl list model, or the path of your own class
  --model.net NAME       its network: gdl list net
  --data NAME            the data: gdl list data
  --optimizer NAME       gdl optimizers
  --schedule NAME        gdl schedules
  --clip NAME            gradient clipping: gdl list clip

sections with fixed options: groups, watch, monitor, checkpoint, guard, trainer (--groups.help, ...)

general:"""


def show(argv: list[str]) -> int:
    """Print the help that the flags ask for.

    Raises:
        UserError: the section or name does not exist.
    """
    for position, token in enumerate(argv):
        if token.startswith("--") and token.partition("=")[0].endswith(".help"):
            section = token[2:].partition("=")[0].removesuffix(".help")
            follower = argv[position + 1] if position + 1 < len(argv) else ""
            name = token.partition("=")[2] or ("" if follower.startswith("--") else follower)
            print(_section(section, name or _chosen(argv, section)))
            return 0
    from gdlightning.config.schema import General
    from gdlightning.signature import options_of

    print(INTRODUCTION)
    print(_rows("", options_of(General)))
    return 0


def _section(section: str, name: str) -> str:
    from gdlightning.config import sections as choices

    if section in FIXED:
        return _rows(section, choices.fixed_options(section))
    if section == "trainer":
        return _rows(section, choices.trainer_options())
    if section not in NAMED:
        raise UserError(f"There is no section {section}; there are {', '.join(NAMED)}.")
    if not name:
        raise UserError(f"--{section}.help needs a name, e.g. --{section}.help NAME.")
    found = choices.find(section, name)
    if section.partition(".")[0] == "optimizer":
        from gdlightning.cli.printing.optimizer_details import explain

        composition = f"\n\noptions of every optimizer:\n{_rows(section, choices.COMPOSITION)}"
        return explain(found.target) + (composition if section == "optimizer" else "")
    summary = (found.target.__doc__ or "").strip().split("\n")[0]
    return f"{name}: {summary}\n{_rows(section, found.options)}"


def _chosen(argv: list[str], section: str) -> str:
    """Return the name that the other flags and the config files choose in the section."""
    from gdlightning.config.settings import merge, read_flags

    rest = [a for a in argv if not a.partition("=")[0].endswith(".help")]
    settings, _ = read_flags(rest, {"debug", "help", "print_config"})
    found = merge(settings).get(f"{section}.name")
    return str(found.value) if found else ""


def _rows(section: str, options: dict[str, Option]) -> str:
    prefix = f"{section}." if section else ""
    flags = [f"--{prefix}{o.name} {o.type_name}" for o in options.values()]
    width = min(44, max((len(f) for f in flags), default=0))
    return "\n".join(
        f"  {flag.ljust(width)}  {_text(option)}".rstrip()
        for flag, option in zip(flags, options.values(), strict=True)
    )


def _text(option: Option) -> str:
    default: Any = "required" if option.required else f"default {option.default}"
    described = option.help.replace("`", "")  # docstrings mark code so
    return f"{described} ({default})" if described else f"({default})"
