"""Malicious and damaged images, sequences, texts, configs and Hugging Face folders."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_base import FAMILIES, ROOT, Attempt, Scene, damaged, used


def _png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts
    )


def _image(mode: str, size: tuple[int, int], kind: str) -> Callable[[Scene], bytes]:
    def make(scene: Scene) -> bytes:
        from PIL import Image

        stream = io.BytesIO()
        Image.new(mode, size).save(stream, kind)
        return stream.getvalue()

    return make


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%touch CANARY) (w) file\n%%EOF\n"
IMAGES: dict[str, Callable[[Scene], bytes]] = {
    "bomb": lambda s: _png(60_000, 60_000, (b"IDAT", zlib.compress(bytes(10**6)))),
    "large header": lambda s: _png(9_000, 9_000, (b"IDAT", zlib.compress(b""))),
    "endless header": lambda s: _png(2**31 - 1, 2**31 - 1), "no size": lambda s: _png(0, 0),
    "text bomb": lambda s: _png(8, 8, (b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))),
    "PPM of any size": lambda s: b"P6 999999999 999999999 255\n\0", "text": lambda s: b"no image",
    "PGM of a large size": lambda s: b"P5 12000 12000 255\n" + bytes(99),
    "PostScript": lambda s: EPS.replace("CANARY", str(s.canary)).encode(),
    "SVG": lambda s: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "palette": _image("P", (8, 8), "GIF"), "floats": _image("F", (8, 8), "TIFF"),
    "16 bits": _image("I;16", (8, 8), "PNG"), "four colours": _image("CMYK", (8, 8), "TIFF"),
    "one pixel": _image("1", (1, 1), "BMP"), "a line": _image("RGB", (1, 20_000), "PNG"),
}  # fmt: skip


def image(scene: Scene) -> Attempt:
    """An image among good ones, or one to predict."""
    chance = scene.chance
    if chance.random() < 0.4:
        raw, what = damaged((scene.good("image") / "dark" / "0.png").read_bytes(), chance)
    else:
        what = chance.choice(list(IMAGES))
        raw = IMAGES[what](scene)
    folder = scene.folder / "images"
    shutil.copytree(scene.good("image"), folder)
    name = chance.choice(["0.png", "z.jpg", "z.tiff", "z.gif", "z.webp", "z.ppm"])
    path = folder / "dark" / name
    path.write_bytes(raw)
    if chance.random() < 0.5:
        return Attempt(scene.fit("image", folder), f"{what}, fit", harmless=True)
    argv = ["predict", str(scene.run("image")), "--input", str(path)]
    return Attempt(argv, f"{what}, predict", harmless=True)


SERIES: dict[str, Callable[[str], str]] = {
    "no @data": lambda t: t.replace("@data", ""),
    "no classes": lambda t: t.replace("true a b", "false"),
    "1e999": lambda t: t.replace("?", "1e999"), "text": lambda t: t.replace("?", "x"),
    "colons": lambda t: t.replace(":", "::"), "commas": lambda t: t.replace("\n", ",,,\n"),
    "digits of all kinds": lambda t: t.replace("2", "٣"), "header alone": lambda t: t[:60],
    "bare word": lambda t: "@classlabel\n@\n@data\n1:a\n2:b\n", "one line": lambda t: "@data\n1",
    "long line": lambda t: t + ",".join("1" * 200_000) + ":1:a\n",
    "only ?": lambda t: t.replace("1", "?"),
    "a dimension more": lambda t: t + "1:1:1:a\n", "underscores": lambda t: t.replace("2", "1_0"),
}  # fmt: skip
BOOKS: dict[str, Callable[[str], str]] = {
    "empty": lambda t: "",
    "breaks": lambda t: "\n" * 9999,
    "nulls": lambda t: "\0" * 9999,
    "short": lambda t: "cat",
    "control": lambda t: "\x1b[31m\r\b" * 99,
    "one word": lambda t: "x" * 10**6,
    "all letters": lambda t: "".join(map(chr, range(0x20, 0xD000))),
    "marks": lambda t: "\ufeff" * 99,
}


def series(scene: Scene) -> Attempt:
    """A .ts file."""
    path = scene.folder / "bad.ts"
    text = scene.good("ts").read_text()
    if scene.chance.random() < 0.5:
        raw, what = damaged(text.encode(), scene.chance)
        path.write_bytes(raw)
    else:
        what = scene.chance.choice(list(SERIES))
        path.write_text(SERIES[what](text))
    return used(scene, "ts", path, what)


def text(scene: Scene) -> Attempt:
    """A text file for a language model or a text classifier, or a prompt."""
    path = scene.folder / "bad.txt"
    good = scene.good("language").read_text()
    if scene.chance.random() < 0.4:
        raw, what = damaged(good.encode(), scene.chance)
        path.write_bytes(raw)
    else:
        what = scene.chance.choice(list(BOOKS))
        path.write_text(BOOKS[what](good))
    level = scene.chance.choice(["bytes", "characters"])
    content = path.read_text(errors="replace").replace("\0", "")[:3000]
    argvs = {
        f"fit {level}": scene.fit("language", path, "--data.level", level),
        "predict": ["predict", str(scene.run("text")), "--input", str(path)],
        "prompt": ["predict", str(scene.run("language")), "--length", "2", f"--prompt={content}"],
    }
    verb = scene.chance.choice(list(argvs))
    return Attempt(argvs[verb], f"{what}, {verb}", harmless=True)


def _laughs(opening: str, closing: str, join: str) -> str:
    lines = ["a0: &a0 [lol]" if opening == "[" else "a0: &a0 {x: 1}"]
    for k in range(1, 12):
        inner = join.join(f"{'' if opening == '[' else f'k{j}: '}*a{k - 1}" for j in range(9))
        lines.append(f"a{k}: &a{k} {opening}{inner}{closing}")
    return "\n".join(lines) + "\n"


CONFIGS: dict[str, Callable[[Scene], str]] = {
    "os.system": lambda s: f"seed: !!python/object/apply:os.system ['touch {s.canary}']\n",
    "exec": lambda s: f"seed: !!python/object/apply:builtins.exec [\"{s.code()}\"]\n",
    "new object": lambda s: "seed: !!python/object/new:os.system [x]\n",
    "module": lambda s: "seed: !!python/module:antigravity\n",
    "laughing lists": lambda s: _laughs("[", "]", ", "),
    "laughing mappings": lambda s: _laughs("{", "}", ", "),
    "laughing merges": lambda s: "a: &a {x: 1}\n" + "".join(
        f"b{k}: &b{k} {{<<: [{', '.join(['*a' if not k else f'*b{k - 1}'] * 9)}]}}\n"
        for k in range(12)),
    "laughing value": lambda s: "callbacks: &a [x]\n" + _laughs("[", "]", ", ") + "name: *a11\n",
    "deep flow": lambda s: "x: " + "[" * 50_000, "deep blocks": lambda s: "".join(
        f"{' ' * k}a:\n" for k in range(1500)),
    "deep mappings": lambda s: "{a: " * 30_000, "cycle": lambda s: "a: &a {b: *a}\n",
    "cycle of lists": lambda s: "callbacks: &a [*a]\n",
    "huge scalar": lambda s: "name: " + "x" * 4 * 10**6,
    "long digits": lambda s: "seed: " + "9" * 10**5, "hexadecimal": lambda s: "seed: 0x" + "f" * 10**5,
    "sexagesimal": lambda s: "seed: " + ":".join(["59"] * 5000), "binary": lambda s: "seed: !!binary x",
    "many keys": lambda s: "".join(f"k{k}: 1\n" for k in range(60_000)),
    "many entries": lambda s: "callbacks: [" + "a," * 60_000 + "]",
    "control": lambda s: "name: \x07\x1b",
    "null byte": lambda s: "name: a\0b", "surrogate": lambda s: 'name: "\\ud800"',
    "path": lambda s: "name: ../../escape\nmodel: tabular-classification\n",
    "import of a path": lambda s: "imports: [../escape]\n",
    "function": lambda s: "model: os.system\n",
    "no class": lambda s: "model: subprocess.Popen\n", "documents": lambda s: "a: 1\n---\nb: 2\n",
}  # fmt: skip


def config(scene: Scene) -> Attempt:
    """A config file; a damaged one may still be one."""
    path = scene.folder / "bad.yaml"
    if scene.chance.random() < 0.35:
        raw, what = damaged((ROOT / "configs" / "tabular.yaml").read_bytes(), scene.chance)
        path.write_bytes(raw)
        argv = scene.fit("tabular", scene.good("tabular"))
        argv[2] = str(path)
        return Attempt(argv, what, harmless=True)
    what = scene.chance.choice(list(CONFIGS))
    path.write_text(CONFIGS[what](scene))
    return Attempt(["fit", "--config", str(path)], what)


def hub(scene: Scene) -> Attempt:
    """A folder as Hugging Face's ``save_to_disk`` writes it."""
    folder = scene.folder / "saved"
    shutil.copytree(scene.base / "saved", folder)
    chance = scene.chance
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if chance.random() < 0.6:
        path = chance.choice(files)
        raw, what = damaged(path.read_bytes(), chance)
        path.write_bytes(raw)
        what = f"{path.name}: {what}"
    else:
        name, key, value = chance.choice(JSON)
        path = folder / name
        found = json.loads(path.read_text())
        found[key] = value
        path.write_text(json.dumps(found))
        what = f"{name}: {key} is {str(value)[:40]}"
    argv = scene.fit("image", folder, "--data", "hub-images", "--data.path", str(folder))
    return Attempt(argv, what, harmless=True)


DATA_FILES: list[Any] = [
    [],
    None,
    [{"filename": "../../../../etc/passwd"}],
    [{"filename": "/etc/passwd"}],
    "x",
    [{"filename": 5}],
    [{}],
    [{"filename": "data-00000-of-00001.arrow"}] * 40,
]
ODD: list[Any] = ["pickle", ["nowhere"], 5, {"a": 1}]
FEATURES: list[Any] = [
    {"image": {"_type": "Pickle"}, "label": {"_type": "Value", "dtype": "int64"}},
    [],
    "x",
    {},
    {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": 5}},
    {"image": {"_type": "os.system"}, "label": {"_type": "Value", "dtype": "object"}},
]
KEYS = (
    "_format_type",
    "_indices_data_files",
    "_split",
    "_format_columns",
    "_format_kwargs",
    "_fingerprint",
)
JSON: list[tuple[str, str, Any]] = [
    *(("state.json", "_data_files", value) for value in DATA_FILES),
    *(("state.json", key, value) for key in KEYS for value in ODD),
    *(("dataset_info.json", "features", value) for value in FEATURES),
]


def prepare_hub(base: Path) -> None:
    """A good folder, with images that are decoded when they are taken."""
    import datasets

    os.environ["HF_HUB_OFFLINE"] = "1"
    datasets.disable_progress_bars()
    paths = sorted((base / FAMILIES["image"].source).rglob("*.png"))
    columns = {
        "image": [{"bytes": p.read_bytes(), "path": None} for p in paths],
        "label": [int(p.parent.name == "light") for p in paths],
    }
    kinds = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["dark", "light"])}
    )
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(base / "saved")
