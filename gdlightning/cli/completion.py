"""``gdl completion``: a script that completes verbs and file names in a shell."""

from __future__ import annotations

import argparse

from gdlightning.cli import verbs

GROUP = "extend"
SUMMARY = "Print a script for shell completion"
USAGE = 'eval "$(gdl completion bash)"'

BASH = """\
_gdl() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}"
  if [[ $COMP_CWORD -eq 1 || ($COMP_CWORD -eq 2 && ${{COMP_WORDS[1]}} == help) ]]; then
    COMPREPLY=($(compgen -W "{names} --help --version" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _gdl gdl
"""

ZSH = """\
#compdef gdl
_gdl() {{
  local -a verbs=({described})
  if [[ $CURRENT -eq 2 || ($CURRENT -eq 3 && $words[2] == help) ]]; then
    _describe verb verbs
  else
    _files
  fi
}}
compdef _gdl gdl
"""


def main(argv: list[str]) -> int:
    """Print the script of a shell."""
    parser = argparse.ArgumentParser(
        "gdl completion",
        description=f"{SUMMARY}. It completes verbs and file names. Add to ~/.bashrc: {USAGE}",
    )
    parser.add_argument("shell", choices=("bash", "zsh"))
    given = parser.parse_args(argv)
    found = verbs()
    described = " ".join(_quoted(f"{verb.name}:{verb.summary}") for verb in found)
    script = BASH if given.shell == "bash" else ZSH
    print(script.format(names=" ".join(v.name for v in found), described=described), end="")
    return 0


def _quoted(text: str) -> str:
    escaped = text.replace("'", "'\\''")
    return f"'{escaped}'"
