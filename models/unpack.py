"""Unpacks a model's archive without trusting it: one folder, files and folders in it, nothing outside, no bomb."""

from __future__ import annotations

import json
import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from models.catalog import CONTENTS, Model, digest

_LARGEST = 20
"""An archive that grows to more than so many times its own size is none of ours (Vosk's: about 1.7)."""
_CHUNK = 1 << 20


class BadArchive(Exception):
    """No archive, a damaged one, or one that would write where it must not."""


def unpack(archive: Path, into: Path, model: Model) -> Path:
    """The model's folder below `into`, every byte of it on the disk, with a list of its contents."""
    left = _LARGEST * archive.stat().st_size
    files: dict[str, tuple[int, str]] = {}
    try:
        with zipfile.ZipFile(archive) as source:
            for entry in source.infolist():
                inside = _inside(entry, model.file)
                if entry.is_dir():
                    continue
                target = into / model.file / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                left -= _copy(source, entry, target, left)
                files[str(inside)] = (target.stat().st_size, digest(target))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadArchive(f"the archive is damaged ({type(error).__name__})") from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise BadArchive("the archive has two entries of one name") from error
    if not files:
        raise BadArchive(f"the archive has no folder {model.file}")
    folder = into / model.file
    (folder / CONTENTS).write_text(json.dumps({"archive": model.sha256, "files": files}, indent=1), "utf-8")
    os.sync()
    return folder


def _inside(entry: zipfile.ZipInfo, top: str) -> PurePosixPath:
    """An entry's path below the archive's one folder."""
    path = PurePosixPath(entry.filename)
    kind = stat.S_IFMT(entry.external_attr >> 16)
    plain = kind in (0, stat.S_IFREG, stat.S_IFDIR)
    nameless = len(path.parts) < 2 and not entry.is_dir()
    if (
        nameless
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in entry.filename
        or not plain
        or path.parts[:1] != (top,)
    ):
        raise BadArchive(f"the archive has an entry that does not belong: {entry.filename!r}")
    return PurePosixPath(*path.parts[1:])


def _copy(source: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, most: int) -> int:
    """Counted as it comes: what an archive says of its sizes may be wrong."""
    size = 0
    with source.open(entry) as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise BadArchive("the archive unpacks to far more than a model")
            writer.write(chunk)
    return size
