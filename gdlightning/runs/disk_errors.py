"""Messages for disk errors during a run."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from gdlightning.errors import StorageError


@contextlib.contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Convert disk errors to an error that names the run and how to resume it.

    TensorBoard writes in a thread. Its errors are raised in the main thread as soon as something
    else is logged, so the traceback of the thread is not printed.

    Raises:
        StorageError: if a file could not be written; existing checkpoints are unchanged.
    """
    former = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        of_a_writer = type(args.thread).__module__.startswith("tensorboard.")
        if not (of_a_writer and issubclass(args.exc_type, OSError)):
            former(args)

    threading.excepthook = hook
    try:
        yield
    except ConnectionError:  # raised between training processes
        raise
    except (OSError, StorageError) as error:
        raise StorageError(_words(folder, error)) from error
    finally:
        threading.excepthook = former


def _words(folder: Path, error: OSError | StorageError) -> str:
    if not folder.is_dir():
        return (
            f"The run folder {folder} was removed or moved during the run.\n"
            "If it was moved, resume it at its new place: gdl fit --resume FOLDER"
        )
    if isinstance(error, OSError):
        where = os.fsdecode(error.filename) if error.filename else f"A log in {folder}"
        text = f"{where} cannot be written: {error.strerror or error}."
    else:
        text = str(error)
    if not list(folder.glob("checkpoints/*.ckpt")):
        return f"{text}\nNothing was saved yet."
    return f"{text}\nResume from the last checkpoint with: gdl fit --resume {folder}"
