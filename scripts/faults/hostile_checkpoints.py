"""Malicious and damaged checkpoints and weights."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hostile_base import Attempt, Scene, damaged


class Bomb:
    """Object that runs code if a reader unpickles it."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.code,)


def checkpoint(scene: Scene) -> Attempt:
    """Pass a checkpoint to a command that reads it."""
    raw = scene.run("tabular").read_bytes()
    chance = scene.chance
    way = chance.choice(["damage", "damage", "content", "content", "content", "container"])
    path = scene.folder / "bad.ckpt"
    if way == "damage":
        found, what = damaged(raw, chance)
        path.write_bytes(found)
        harmless = found == raw
    elif way == "container":
        what = chance.choice(list(CONTAINERS))
        CONTAINERS[what](scene, path)
        harmless = False
    else:
        what = chance.choice(list(CONTENTS))
        content = torch.load(scene.run("tabular"), weights_only=True)
        from gdlightning.storage.checkpoint_file import write

        made = CONTENTS[what](content, scene)
        write(content if made is None else made, path)  # with a correct digest
        harmless = True  # parts that the command does not read may be invalid
    verbs = [
        ["test", str(path)],
        ["predict", str(path), "--input", str(scene.good("tabular"))],
        ["export", str(path), "--output", "out.safetensors"],
        ["export", str(path), "--output", "out.pt2"],
        scene.fit("tabular", scene.good("tabular"), "--init_from", str(path)),
        ["curvature", str(path), "--steps", "6", "--top", "1", "--bottom", "1", "--probes", "2"],
        ["landscape", str(path), "--size", "3", "--batches", "1", "--dims", "1", "--output", "l"],
    ]
    chosen = chance.choices(verbs, weights=[3, 3, 2, 1, 3, 1, 1])[0]
    return Attempt(chosen, f"{what}, {chosen[0]}", harmless)


def _zip(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, raw in entries.items():
            file.writestr(name, raw)


def _pickled(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)


def _lying(scene: Scene, path: Path) -> None:
    """Tensor that claims 2^40 values, stored in eight bytes."""
    stream = io.BytesIO()
    torch.save({"state_dict": {"net.head.weight": torch.zeros(2)}}, stream)
    with zipfile.ZipFile(stream) as file:
        entries = {n: file.read(n) for n in file.namelist()}
    name = next(n for n in entries if n.endswith("data.pkl"))
    entries[name] = entries[name].replace(b"K\x02", b"\x8a\x06" + (2**40).to_bytes(6, "little"))
    _zip(path, entries)


def _tar(scene: Scene, path: Path) -> None:
    with tarfile.open(path, "w") as file:
        for name in ("storages", "tensors", "pickle", "../../escape"):
            raw = _pickled(Bomb(scene.code()))
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            file.addfile(info, io.BytesIO(raw))


def _traversal(scene: Scene, path: Path) -> None:
    names = ("archive/data.pkl", "../../escape", "/tmp/../escape", "archive/../../escape")
    _zip(path, {name: _pickled(Bomb(scene.code())) for name in names})


def _legacy(scene: Scene, path: Path) -> None:
    content = torch.load(scene.run("tabular"), weights_only=True)
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _undigested(scene: Scene, path: Path) -> None:
    torch.save(torch.load(scene.run("tabular"), weights_only=True), path)


CONTAINERS: dict[str, Callable[[Scene, Path], Any]] = {
    "bare pickle that runs code": lambda s, p: p.write_bytes(_pickled(Bomb(s.code()))),
    "pickle that runs code": lambda s, p: torch.save({"state_dict": {"a": Bomb(s.code())}}, p),
    "old pickle that runs code": lambda s, p: torch.save(
        {"state_dict": Bomb(s.code())}, p, _use_new_zipfile_serialization=False),
    "os.system": lambda s, p: _zip(
        p, {"archive/data.pkl": f"cos\nsystem\n(S'touch {s.canary}'\ntR.".encode(),
            "archive/version": b"3\n"}),
    "names that lead out": _traversal,
    "tar": _tar,
    "lying sizes": _lying,
    "old format, no digest": _legacy,
    "no digest": _undigested,
    "deflated bomb": lambda s, p: _zip(
        p, {"archive/data.pkl": bytes(1 << 26), "archive/version": b"3\n"}, zipfile.ZIP_DEFLATED),
    "deep pickle": lambda s, p: _zip(
        p, {"archive/data.pkl": b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".",
            "archive/version": b"3\n"}),
    "zip without a pickle": lambda s, p: _zip(p, {"archive/version": b"3\n"}),
    "empty zip": lambda s, p: _zip(p, {}),
    "a whole module": lambda s, p: torch.save(torch.nn.Linear(2, 2), p),
    "a list": lambda s, p: torch.save([1, 2], p),
    "no state_dict": lambda s, p: torch.save({"epoch": 1}, p),
}  # fmt: skip


def _deep(levels: int) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = {"a": found}
    return found


def _record(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], Scene], Any]:
    return lambda content, scene: change(content["gdlightning"])


def _config(key: str, value: Any) -> Callable[[dict[str, Any], Scene], Any]:
    def change(content: dict[str, Any], scene: Scene) -> None:
        at = content["gdlightning"]["config"]
        *path, last = key.split(".")
        for part in path:
            at = at[part]
        at[last] = value

    return change


def _numbered(weights: dict[Any, Any]) -> None:
    """Add a weight whose name is a number."""
    weights[5] = torch.zeros(2)


def _state(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any], Scene], Any]:
    return lambda content, scene: change(content["state_dict"])


ODD: list[Any] = [
    None,
    5,
    -1,
    2**62,
    1e300,
    float("nan"),
    "x",
    "",
    [],
    [1],
    {},
    {"a": 1},
    True,
    "\0",
    ["a"] * 3,
    {1: 2},
    torch.zeros(2),
    [[[]]],
    "../../x",
    b"raw",
]


def _odd(key: str) -> Callable[[dict[str, Any], Scene], Any]:
    def change(content: dict[str, Any], scene: Scene) -> None:
        at = content
        *path, last = key.split(".")
        for part in path:
            at = at[part]
        if last == "*":
            last = scene.chance.choice(list(at))
        at[last] = scene.chance.choice(ODD)

    return change


CONTENTS: dict[str, Callable[[dict[str, Any], Scene], Any]] = {
    "record is a list": lambda c, s: c | {"gdlightning": [1]},
    "record without config": _record(lambda r: r.pop("config")),
    "odd record": _odd("gdlightning.*"),
    "odd config": _odd("gdlightning.config.*"),
    "odd model": _odd("gdlightning.config.model.*"),
    "odd net": _odd("gdlightning.config.model.net.*"),
    "odd data": _odd("gdlightning.config.data.*"),
    "odd sizes": _odd("gdlightning.sizes.*"),
    "odd preprocessing": _odd("gdlightning.fitted.*"),
    "odd weight": _odd("state_dict.*"),
    "odd counter": _odd("*"),
    "odd column": lambda c, s: _odd("numeric.0.*")(
        {"numeric": {"0": c["gdlightning"]["fitted"]["numeric"][0]}}, s),
    "huge layer": _config("model.net.hidden", [2**20, 2**20]),
    "huge sizes": _record(lambda r: r["sizes"].update(numeric=2**40)),
    "overflowing sizes": _record(lambda r: r["sizes"].update(numeric=2**63)),
    "many layers": _config("model.net.hidden", [1] * 10**6),
    "deep config": _config("model.net.hidden", _deep(400)),
    "a function for a model": _config("model.name", "os.system"),
    "a function for data": _config("data.name", "subprocess.Popen"),
    "a module that is not there": _config("imports", ["no_such_module_at_all"]),
    "odd import": _config("imports", ["../escape", "", ".", "a/b", "\0"]),
    "another version": _config("version", 99),
    "no weights": _state(lambda w: w.clear()),
    "weights of other shapes": _state(lambda w: w.update({k: torch.zeros(3, 3) for k in w})),
    "weights of another type": _state(
        lambda w: w.update({k: torch.zeros_like(v, dtype=torch.bool) for k, v in w.items()})),
    "complex weights": _state(
        lambda w: w.update({k: torch.zeros_like(v, dtype=torch.complex64) for k, v in w.items()})),
    "a giant view": _state(
        lambda w: w.update({k: torch.zeros(1).expand(2**40) for k in w})),
    "sparse giant": _state(lambda w: w.update({
        k: torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.int64), torch.ones(1), (2**40,))
        for k in w})),
    "names that are numbers": _state(_numbered),
    "nan weights": _state(lambda w: w.update({k: v * float("nan") for k, v in w.items()})),
}  # fmt: skip


def weights(scene: Scene) -> Attempt:
    """A .safetensors file for --init_from."""
    from safetensors.torch import save

    content = torch.load(scene.run("tabular"), weights_only=True)
    raw = save({k: v.contiguous() for k, v in content["state_dict"].items()}, {"a": "b"})
    path = scene.folder / "bad.safetensors"
    chance = scene.chance
    if chance.random() < 0.4:
        found, what = damaged(raw, chance)
        path.write_bytes(found)
    else:
        what = chance.choice(list(HEADERS))
        path.write_bytes(_with_header(HEADERS[what], raw, next(iter(content["state_dict"]))))
    argv = scene.fit("tabular", scene.good("tabular"), "--init_from", str(path))
    return Attempt(argv, what, harmless=True)  # the format has no digest


def _with_header(change: Any, raw: bytes, first: str) -> bytes:
    (length,) = struct.unpack("<Q", raw[:8])
    if isinstance(change, bytes):
        return change + raw[8:]
    header = json.loads(raw[8 : 8 + length])
    text = change(header, first)
    made = (text if isinstance(text, str) else json.dumps(header)).encode()
    return struct.pack("<Q", len(made)) + made + raw[8 + length :]


def _entry(**values: Any) -> Callable[[dict[str, Any], str], Any]:
    return lambda header, first: header[first].update(values)


HEADERS: dict[str, Any] = {
    "huge header": struct.pack("<Q", 2**63), "endless header": b"\xff" * 8,
    "header of nothing": bytes(8), "large header": struct.pack("<Q", 99_000_000),
    "lying shape": _entry(shape=[2**40]), "overflowing shape": _entry(shape=[2**33, 2**33]),
    "negative shape": _entry(shape=[-1, 4]), "shape of text": _entry(shape="x"),
    "shape of fractions": _entry(shape=[0.5]), "another shape": _entry(shape=[]),
    "unknown type": _entry(dtype="X7"), "type of bytes": _entry(dtype="U8"),
    "odd type": _entry(dtype="F8_E8M0"), "offsets outside": _entry(data_offsets=[0, 2**50]),
    "offsets backwards": _entry(data_offsets=[8, 0]),
    "overlapping": lambda h, f: h.update(twin=dict(h[f])),
    "metadata of lists": lambda h, f: h.update(__metadata__=[1]),
    "deep": lambda h, f: "[" * 200_000, "no JSON": lambda h, f: "{" * 10,
    "duplicate": lambda h, f: json.dumps(h)[:-1] + "," + json.dumps(h)[1:],
    "long name": lambda h, f: h.update({"n" * 10**6: h.pop(f)}),
    "odd name": lambda h, f: h.update({"\0\x1b[31m": h.pop(f)}),
    "nothing": lambda h, f: h.clear(),
}  # fmt: skip
