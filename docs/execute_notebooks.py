"""Execute the notebooks, and write them in place with their outputs.

``python docs/execute_notebooks.py`` writes them; with ``--check`` nothing is written, and the exit
code is 1 if a stored output is not what its cell gives.
"""

# ruff: noqa: INP001 - a script, not a package

import argparse
import base64
import struct
import sys
import zlib
from pathlib import Path
from typing import Final

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER: Final = Path(__file__).parents[1] / "notebooks"
# All that a viewer needs, and nothing of the machine that ran it.
METADATA: Final = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def paths() -> list[Path]:
    """Return the notebooks, by name."""
    return sorted(FOLDER.glob("*.ipynb"))


def execute(path: Path) -> NotebookNode:
    """Return the notebook as a kernel of its own runs it, in the notebook's folder."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        allow_errors=False,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    notebook.metadata = nbformat.from_dict(METADATA)
    for cell in notebook.cells:
        cell.metadata = NotebookNode()
        if "outputs" in cell:
            cell.outputs = [_lasting(output) for output in cell.outputs if not _is_log(output)]
    return notebook


def stale(stored: NotebookNode, executed: NotebookNode) -> list[str]:
    """Return the ids of the cells whose stored outputs are not what they give."""
    pairs = zip(stored.cells, executed.cells, strict=True)
    return [old.id for old, new in pairs if _texts(old) != _texts(new)]


def _is_log(output: NotebookNode) -> bool:
    """Tell whether this is an engine's log, of times and addresses; Python's warnings stay."""
    return output.get("name") == "stderr" and "Warning: " not in output.text


def _lasting(output: NotebookNode) -> NotebookNode:
    """Return an output with small images, and without the places of objects in memory."""
    data = output.get("data", {})
    if " at 0x" in data.get("text/plain", ""):
        data["text/plain"] = data["text/plain"].partition("(")[0]
    if "image/png" in data:
        packed = _packed(base64.b64decode(data["image/png"]))
        data["image/png"] = base64.b64encode(packed).decode()
    return output


def _packed(png: bytes) -> bytes:
    """Return the same picture in a fifth of the bytes: vl-convert hardly packs its pixels."""
    place, pixels, parts = 8, b"", [png[:8]]  # after the signature: length, kind, bytes, checksum
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        part = png[place : place + length + 12]
        pixels += part[8:-4] if kind == b"IDAT" else b""
        parts += [part] if kind not in {b"IDAT", b"IEND"} else []
        place += len(part)
    for kind, content in ((b"IDAT", zlib.compress(zlib.decompress(pixels), 9)), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        parts += [struct.pack(">I", len(content)), kind, content, checksum]
    return b"".join(parts)


def _texts(cell: NotebookNode) -> list[tuple[str, ...]]:
    """Return what a cell's outputs say as text, and which of them are images.

    Their HTML is too much the version's of pandas, and the pixels are the version's of Altair.
    """
    return [_text(output) for output in cell.get("outputs", [])]


def _text(output: NotebookNode) -> tuple[str, ...]:
    if "text" in output:
        return (output.text,)
    if images := [kind for kind in output.data if kind.startswith("image/")]:
        return tuple(images)
    return (output.data.get("text/plain", ""),)


def main() -> int:
    """Write the notebooks, or check them, and return the exit code."""
    parser = argparse.ArgumentParser(description="Execute notebooks/*.ipynb in place.")
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    check, code = parser.parse_args().check, 0
    for path in paths():
        executed = execute(path)
        if not check:
            nbformat.write(executed, path)
        elif cells := stale(nbformat.read(path, as_version=4), executed):
            sys.stderr.write(f"{path.name}: stale outputs in {cells}: run `just notebooks`.\n")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
