"""Checkpoint files: whole, digested, rotated, readable elsewhere, and never code."""

from __future__ import annotations

import pickle
import resource
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gdlightning.errors import StorageError, UserError
from gdlightning.storage.checkpoint_file import (
    KEY,
    DamagedCheckpointError,
    candidates,
    read,
    verify,
    write,
)
from gdlightning.storage.checkpoint_plugin import AtomicCheckpointIO

CONTENT: dict[str, Any] = {
    "state_dict": {"w": torch.arange(300.0)},
    KEY: {"config": {"lr": 1e-3}, "seed": (1, 2)},
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint."""
    path = tmp_path_factory.mktemp("good") / "good.ckpt"
    write(CONTENT, path)
    return path


def test_reads_back_and_is_torchs_own_archive(good: Path) -> None:
    assert torch.equal(read(good)["state_dict"]["w"], CONTENT["state_dict"]["w"])
    assert read(good)[KEY] == CONTENT[KEY]
    assert torch.equal(torch.load(good)["state_dict"]["w"], CONTENT["state_dict"]["w"])
    assert torch.load(good, mmap=True)["state_dict"]["w"][7] == 7
    with zipfile.ZipFile(good) as archive:
        assert archive.testzip() is None
        assert archive.comment.startswith(b"sha256:")
    assert verify(good)


@settings(max_examples=150, deadline=None)
@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_seen(good: Path, position: int, bit: int) -> None:
    raw = bytearray(good.read_bytes())
    raw[position % len(raw)] ^= 1 << bit
    flipped = good.with_name("flipped.ckpt")
    flipped.write_bytes(raw)
    with pytest.raises(UserError, match=r"flipped\.ckpt"):
        read(flipped)


def test_torch_alone_would_not_see_a_flipped_weight(good: Path) -> None:
    raw = bytearray(good.read_bytes())
    weights = CONTENT["state_dict"]["w"].numpy().tobytes()
    raw[raw.index(weights) + 40] ^= 64
    flipped = good.with_name("weight.ckpt")
    flipped.write_bytes(raw)
    assert not torch.equal(torch.load(flipped)["state_dict"]["w"], CONTENT["state_dict"]["w"])
    with pytest.raises(UserError, match="digest does not match"):
        read(flipped)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(min_value=0))
def test_any_truncation_is_seen(good: Path, length: int) -> None:
    raw = good.read_bytes()
    short = good.with_name("short.ckpt")
    short.write_bytes(raw[: length % len(raw)])
    with pytest.raises(UserError, match=r"short\.ckpt"):
        read(short)


class Evil:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("canary"),))


def test_a_pickle_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "evil": Evil()}, "evil.ckpt")
    Path("bare.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    for name in ("evil.ckpt", "bare.ckpt"):
        with pytest.raises(UserError, match=name):
            read(Path(name))
    assert not Path("canary").exists()


def test_another_format_is_refused(tmp_path: Path) -> None:
    write({"state_dict": {}, KEY: {"format": 99}}, tmp_path / "later.ckpt")
    with pytest.raises(UserError, match="format 99"):
        read(tmp_path / "later.ckpt")


@pytest.mark.parametrize("limit", ["memory", "EIO"])
def test_a_good_file_that_cannot_be_read_now_is_not_called_damaged(
    limit: str, tmp_path: Path
) -> None:
    path = tmp_path / "large.ckpt"
    write({"state_dict": {"w": torch.zeros(1 << 24)}}, path)  # 64 MiB
    if limit == "EIO":
        path = tmp_path / "bad.ckpt"
        path.symlink_to("/proc/self/mem")  # no process has anything at address 0
    former = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if limit == "memory":
        resource.setrlimit(resource.RLIMIT_AS, (used + (32 << 20), former[1]))
    try:
        with pytest.raises(UserError, match=r"memory|Input/output error") as caught:
            read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)
    assert type(caught.value) is (UserError if limit == "memory" else StorageError)


@pytest.mark.parametrize("spoil", ["cut", "other", "code", "empty"])
def test_a_damaged_file_is_told_from_one_that_cannot_be_read(
    spoil: str, tmp_path: Path, good: Path
) -> None:
    path = tmp_path / "bad.ckpt"
    if spoil == "code":
        torch.save({"state_dict": {}, "evil": Evil()}, path)
    else:
        raw = {"cut": good.read_bytes()[:-9], "other": b"text", "empty": b""}[spoil]
        path.write_bytes(raw)
    with pytest.raises(DamagedCheckpointError, match=r"bad\.ckpt"):
        read(path)


def test_the_last_ones_are_kept_in_order(tmp_path: Path) -> None:
    files = AtomicCheckpointIO()
    for step in range(5):
        files.save_checkpoint(
            {"state_dict": {"step": torch.tensor(step)}}, tmp_path / "last.ckpt", {"keep": 3}
        )
    found = candidates(tmp_path)
    assert [p.name for p in found] == ["last.ckpt", "previous-1.ckpt", "previous-2.ckpt"]
    assert [int(read(p)["state_dict"]["step"]) for p in found] == [4, 3, 2]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_replaced_file_goes_once_the_new_one_is_there(tmp_path: Path) -> None:
    files = AtomicCheckpointIO()
    files.save_checkpoint({"state_dict": {}}, tmp_path / "best-1.ckpt")
    files.save_checkpoint(
        {"state_dict": {}}, tmp_path / "best-2.ckpt", {"replaces": str(tmp_path / "best-1.ckpt")}
    )
    assert [p.name for p in tmp_path.iterdir()] == ["best-2.ckpt"]


def test_a_failed_write_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write(CONTENT, path)
    before = path.read_bytes()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        write({"state_dict": {}, "bad": lambda: 0}, path)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, former[1]))  # as a quota would
    try:
        with pytest.raises(StorageError, match=r"last\.ckpt cannot be written: File too large"):
            write(CONTENT, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
