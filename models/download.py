"""Gets a model of the catalog from the network: resumed where it broke off, checked, and there whole or not at all.

DownloadFailed          code "download-failed"     the server refuses, the connection breaks, another one is under way
|-- Offline             code "download-offline"    no connection to the server
|-- WrongChecksum       code "download-checksum"   what came is not the file of the catalog
`-- NoRoom              code "download-no-room"    the disk is full, or may not be written
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from models.catalog import Model, digest, resolve
from models.engines import EngineError, ModelUnavailable
from models.unpack import BadArchive, unpack

if TYPE_CHECKING:
    import httpx

Progress = Callable[[int], None]
"""Is told how many bytes are there."""

_ATTEMPTS = 5
"""Connections in a row that may break; each goes on where the last one ended."""
_TIMEOUT = 20.0


class DownloadFailed(EngineError):
    """The message is one line that says what to do."""

    code: ClassVar[str] = "download-failed"


class Offline(DownloadFailed):
    """No connection; what was there before is still there."""

    code = "download-offline"


class WrongChecksum(DownloadFailed):
    """What came was thrown away."""

    code = "download-checksum"


class NoRoom(DownloadFailed):
    """What came was thrown away."""

    code = "download-no-room"


class _Broken(Exception):
    """The connection ended early."""


def download(model: Model, folder: Path, progress: Progress = lambda _: None) -> Path:
    """Make the model's folder in `folder`, unless a whole one is there; returns its path.

    Raises:
        DownloadFailed: nothing was changed but that a later call may go on where this one ended.
        ModelUnavailable: the model comes with a package.
    """
    if not model.url:
        raise ModelUnavailable(f"{model.name} is not downloaded but comes with a package: {model.remedy}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, model):
            with contextlib.suppress(ModelUnavailable):
                return resolve(model.name, folder)
            return _get(model, folder, progress)
    except OSError as error:
        raise NoRoom(f"{folder} cannot be written: {error.strerror or type(error).__name__}") from error


@contextlib.contextmanager
def _alone(folder: Path, model: Model) -> Iterator[None]:
    """Two at once would write into one file; the lock ends with the process that has it."""
    with (folder / f".{model.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DownloadFailed(f"another download of {model.name} is under way") from error
        yield


def _get(model: Model, folder: Path, progress: Progress) -> Path:
    # Named by its checksum: what is left of another version is not gone on with.
    part = folder / f".{model.name}-{model.sha256[:12]}.part"
    try:
        _fetch(model, part, progress)
        if digest(part) != model.sha256:
            part.unlink()
            raise WrongChecksum(f"{model.url} has another checksum than the catalog: nothing of it was kept")
        path = _install(model, part, folder)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        part.unlink(missing_ok=True)
        raise NoRoom(
            f"no room in {folder} for {model.name}: nothing of it was kept, make room and try again"
        ) from error
    part.unlink()
    return path


def _fetch(model: Model, part: Path, progress: Progress) -> None:
    """All bytes into `part`, by as many connections as it takes."""
    import httpx

    with _begun(part) as file, httpx.Client(follow_redirects=True, timeout=_TIMEOUT) as client:
        broken = 0
        while (have := file.tell()) < model.bytes:
            try:
                _go_on(client, model, file, progress)
            except (httpx.TransportError, _Broken) as error:
                broken = 1 if file.tell() > have else broken + 1
                if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol):
                    host = httpx.URL(model.url).host
                    raise Offline(f"no connection to {host}: is this computer online? Try again later") from error
                if broken >= _ATTEMPTS:
                    raise DownloadFailed(
                        f"the connection broke at {file.tell()} of {model.bytes} bytes: the same command goes on there"
                    ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise DownloadFailed(f"{model.url}: {type(error).__name__}") from error
        file.flush()
        os.fsync(file.fileno())
    if part.stat().st_size > model.bytes:
        part.unlink()
        raise WrongChecksum(f"{model.url} is longer than the catalog says: nothing of it was kept")


@contextlib.contextmanager
def _begun(part: Path) -> Iterator[BinaryIO]:
    """The file to go on with; nothing is left of one in which nothing has come."""
    with part.open("ab") as file:
        try:
            yield file
        finally:
            if not file.tell():
                part.unlink()


def _go_on(client: httpx.Client, model: Model, file: BinaryIO, progress: Progress) -> None:
    """One connection: from the end of the file on."""
    have = file.tell()
    # The bytes as they are: a length and a range count nothing else.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", model.url, headers=headers) as answer:
        whole = answer.status_code == 200
        if have and (whole or answer.status_code == 416):
            file.truncate(0)
            file.seek(0)
        if answer.status_code == 416:
            raise _Broken
        continues = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not whole and not (have and answer.status_code == 206 and continues):
            raise DownloadFailed(f"{model.url}: the server answered {answer.status_code} {answer.reason_phrase}")
        if (length := answer.headers.get("Content-Length", "")).isdigit():
            _room(file, int(length), model)
        for chunk in answer.iter_raw():
            file.write(chunk)
            progress(file.tell())
            if file.tell() > model.bytes:
                return
    if file.tell() < model.bytes:
        raise _Broken


def _room(file: BinaryIO, coming: int, model: Model) -> None:
    """Better said now than after a long wait. Unpacked it takes about twice its size again."""
    if shutil.disk_usage(Path(file.name).parent).free < min(coming, model.bytes) + 2 * model.bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _install(model: Model, archive: Path, folder: Path) -> Path:
    """Unpack beside the place, then move: a folder of that name is always a whole one."""
    for left in folder.glob(f".{model.name}-unpack-*"):
        shutil.rmtree(left)
    path = folder / model.file
    with tempfile.TemporaryDirectory(prefix=f".{model.name}-unpack-", dir=folder) as beside:
        try:
            unpacked = unpack(archive, Path(beside), model)
        except BadArchive as error:
            archive.unlink()
            raise DownloadFailed(f"{model.url}: {error}; nothing of it was kept") from error
        if path.exists():
            path.rename(Path(beside) / "damaged")
        unpacked.rename(path)
    return path
