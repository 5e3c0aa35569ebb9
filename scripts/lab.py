"""docs/lab.md with its pictures, from all experiments of ``gdl lab``.

python scripts/lab.py [--folder runs/lab]: half an hour on two cores; seeds that stand in the
folder, measured by the same code, are taken from there.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from gdlightning.__main__ import main as gdl
from gdlightning.lab.experiment import names
from gdlightning.lab.page import markdown
from gdlightning.lab.run import run
from gdlightning.storage.write import write_text

DOCS = Path(__file__).resolve().parent.parent / "docs"
HEAD = """# The claims of gradient descent, measured

Each claim of the usual account as an experiment: what is claimed, what was measured, how much it
differs from seed to seed, and a verdict by a rule that stands in its code, one readable file each
in `gdlightning/lab/experiments/`.

```bash
gdl lab list
gdl lab run saddle-points --seeds 2
```

writes `lab/saddle-points.html`, pictures and a record; `gdl lab all` runs everything and writes
`lab/index.html`. A seed that was measured is kept: a run that was cut short goes on. The figures
below are those of `python scripts/lab.py`, on two CPU cores, where an experiment takes 13 to 79
seconds and all of them eleven minutes. The extra is
`pip install 'gdlightning[data,plots]'`.

"""


def main() -> None:
    """Run what is not there, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/lab"))
    folder = parser.parse_args().folder
    if gdl(["lab", "all", "--output", str(folder)]):
        raise SystemExit("gdl lab all failed")
    results = [run(name, folder) for name in names()]  # all are there now
    pictures = DOCS / "pictures" / "lab"
    pictures.mkdir(parents=True, exist_ok=True)
    for name in names():
        for mark in ("", "-dark"):
            shutil.copy(folder / f"{name}{mark}.png", pictures)
    write_text(DOCS / "lab.md", HEAD + markdown(results, "pictures/lab"))


if __name__ == "__main__":
    main()
