"""Downloads against a server of ours: whole, resumed, broken, wrong, hostile, full."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import signal
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from device import cli
from models import catalog, download, unpack
from models.engines import EngineError, ModelUnavailable
from tests.models_speech import until

ROOT = Path(__file__).parent.parent
TOP = "small-model"
NOISE = os.urandom(300_000)


def archive(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{TOP}/", b"")
        for name, content in entries or ((f"{TOP}/am/final.mdl", NOISE), (f"{TOP}/conf/model.conf", b"--x")):
            file.writestr(name, content)
    return data.getvalue()


class Server:
    """Serves one archive; what it does wrong is set in it."""

    def __init__(self) -> None:
        self.content = archive()
        self.status = 0
        self.ranges = True
        self.breaks_after: list[int] = []
        """Bytes of the answers to come after which the connection ends."""
        self.hold: threading.Event | None = None
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/m.zip"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        if self.status:
            request.send_error(self.status)
            return
        begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        body = self.content[begin:]
        request.send_response(206 if begin else 200)
        if begin:
            request.send_header("Content-Range", f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if self.breaks_after:
            body = body[: self.breaks_after.pop(0)]
        request.wfile.write(body)
        request.wfile.flush()
        if self.hold is not None:
            self.hold.wait(30)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    if found.hold is not None:
        found.hold.set()
    found.http.shutdown()
    found.http.server_close()


@pytest.fixture
def offer(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., catalog.Model]:
    """Puts what the server has into the catalog."""

    def put(content: bytes | None = None, sha256: str = "") -> catalog.Model:
        server.content = server.content if content is None else content
        digest = sha256 or hashlib.sha256(server.content).hexdigest()
        model = catalog.Model("small", TOP, len(server.content), digest, "MIT", "https://example.com", url=server.url)
        monkeypatch.setattr(catalog, "catalog", lambda: {"small": model})
        return model

    return put


def left(folder: Path) -> list[str]:
    """What a failed download leaves, without its lock."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_download_is_whole_checked_and_kept(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path
) -> None:
    model = offer()
    seen: list[int] = []
    path = download.download(model, tmp_path, seen.append)
    assert (path / "am" / "final.mdl").read_bytes() == NOISE
    assert catalog.verify("small", tmp_path) == path
    assert seen == sorted(seen)
    assert seen[-1] == model.bytes
    assert left(tmp_path) == [TOP]
    assert download.download(model, tmp_path) == path
    assert len(server.asked) == 1, "a whole one is not got again"


def test_a_damaged_one_is_noticed_and_replaced(offer: Callable[..., catalog.Model], tmp_path: Path) -> None:
    model = offer()
    file = download.download(model, tmp_path) / "conf" / "model.conf"
    file.write_bytes(b"--y")
    assert catalog.resolve("small", tmp_path)
    with pytest.raises(ModelUnavailable, match="damaged: wakeline models download small"):
        catalog.verify("small", tmp_path)
    file.unlink()
    with pytest.raises(ModelUnavailable, match="damaged"):
        catalog.resolve("small", tmp_path)
    download.download(model, tmp_path)
    assert file.read_bytes() == b"--x"
    assert left(tmp_path) == [TOP]


def test_a_folder_of_another_origin_is_not_believed(offer: Callable[..., catalog.Model], tmp_path: Path) -> None:
    offer()
    with pytest.raises(ModelUnavailable, match="not here"):
        catalog.resolve("small", tmp_path)
    (tmp_path / TOP).mkdir()
    with pytest.raises(ModelUnavailable, match="was not put there"):
        catalog.resolve("small", tmp_path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_goes_on(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path, ranges: bool
) -> None:
    model = offer()
    server.ranges = ranges
    server.breaks_after = [100_000, 50_000]
    assert download.download(model, tmp_path).is_dir()
    assert server.asked == ["", "bytes=100000-", "bytes=150000-" if ranges else "bytes=50000-"]


def test_no_progress_ends_with_the_place_and_the_next_call_goes_on(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path
) -> None:
    model = offer()
    server.breaks_after = [70_000, 0, 0, 0, 0, 0]
    with pytest.raises(download.DownloadFailed, match=f"broke at 70000 of {model.bytes}"):
        download.download(model, tmp_path)
    server.breaks_after = []
    assert download.download(model, tmp_path).is_dir()
    assert server.asked[-1] == "bytes=70000-"


def test_a_leftover_that_the_server_refuses_is_begun_anew(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path
) -> None:
    model = offer()
    part = tmp_path / f".small-{model.sha256[:12]}.part"
    part.write_bytes(b"x" * (model.bytes + 1))
    with pytest.raises(download.WrongChecksum):
        download.download(model, tmp_path)
    assert left(tmp_path) == []
    part.write_bytes(b"x" * 1000)
    with pytest.raises(download.WrongChecksum):
        download.download(model, tmp_path)
    assert download.download(model, tmp_path).is_dir()


def test_a_wrong_checksum_leaves_nothing(offer: Callable[..., catalog.Model], tmp_path: Path) -> None:
    model = offer(sha256="0" * 64)
    with pytest.raises(download.WrongChecksum, match="another checksum"):
        download.download(model, tmp_path)
    assert left(tmp_path) == []


def test_more_than_the_catalog_says_is_cut_off(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path
) -> None:
    model = offer()
    server.content += os.urandom(4_000_000)
    with pytest.raises(download.WrongChecksum, match="longer"):
        download.download(model, tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_refusal_names_the_status(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path, status: int
) -> None:
    model = offer()
    server.status = status
    with pytest.raises(download.DownloadFailed, match=f"answered {status}"):
        download.download(model, tmp_path)


def test_offline_is_one_line(server: Server, offer: Callable[..., catalog.Model], tmp_path: Path) -> None:
    model = offer()
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(download.Offline, match="no connection to 127"):
        download.download(model, tmp_path)
    assert left(tmp_path) == []


def test_a_full_disk_keeps_nothing(
    offer: Callable[..., catalog.Model], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = offer()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(unpack, "_copy", full)
    with pytest.raises(download.NoRoom, match="no room"):
        download.download(model, tmp_path)
    assert left(tmp_path) == []
    monkeypatch.undo()
    monkeypatch.setattr(catalog, "catalog", lambda: {"small": model})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("", (), {"free": 1000})())
    with pytest.raises(download.NoRoom, match="no room"):
        download.download(model, tmp_path)
    assert left(tmp_path) == []


def test_a_folder_that_cannot_be_made(offer: Callable[..., catalog.Model], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(download.NoRoom, match="cannot be written"):
        download.download(offer(), tmp_path / "file" / "models")


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "content",
    [
        archive((f"{TOP}/../../out", b"x")),
        archive(("/tmp/out", b"x")),
        archive(("other/file", b"x")),
        archive((f"{TOP}/..\\out", b"x")),
        archive((link(f"{TOP}/link"), b"/etc")),
        archive((f"{TOP}/a", b"x"), (f"{TOP}/a/b", b"x")),
        archive((f"{TOP}/zeros", bytes(3_000_000))),
        archive((f"{TOP}/x", NOISE))[:-100],
        archive((TOP, b"x")),
        b"no archive",
    ],
    ids=["up", "absolute", "beside", "backslash", "symlink", "file-as-folder", "bomb", "cut", "top-as-file", "text"],
)
def test_a_hostile_archive_writes_nothing(offer: Callable[..., catalog.Model], tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "deep" / "models"
    with pytest.raises(download.DownloadFailed, match="archive"):
        download.download(offer(content), folder)
    assert left(folder) == []
    assert left(tmp_path) == ["deep"]
    assert left(tmp_path / "deep") == ["models"]


def test_killed_in_the_middle_it_goes_on_afterwards(
    server: Server, offer: Callable[..., catalog.Model], tmp_path: Path
) -> None:
    model = offer()
    server.breaks_after = [131_072]
    server.hold = threading.Event()
    program = (
        "from pathlib import Path; from models.catalog import Model; from models.download import download;"
        f"download(Model('small', {TOP!r}, {model.bytes}, {model.sha256!r}, 'MIT', '', url={model.url!r}),"
        f"Path({str(tmp_path)!r}))"
    )
    # The catalog of that process does not know the model, so it is asked for directly.
    program = (
        "import models.download as d\nd.resolve = lambda *a: (_ for _ in ()).throw(d.ModelUnavailable(''))\n" + program
    )
    part = tmp_path / f".small-{model.sha256[:12]}.part"
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as child:
        until(lambda: part.exists() and part.stat().st_size >= 65_536)
        with pytest.raises(download.DownloadFailed, match="under way"):
            download.download(model, tmp_path)
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / TOP).exists()
    server.hold.set()
    have = part.stat().st_size
    assert download.download(model, tmp_path).is_dir()
    assert server.asked[-1] == f"bytes={have}-"


def test_the_command(
    server: Server,
    offer: Callable[..., catalog.Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WAKELINE_MODELS", str(tmp_path))
    offer()
    from device import models_command

    monkeypatch.setattr(models_command, "catalog", catalog.catalog)
    assert cli.main(["models", "list"]) == 0
    assert "missing  MIT" in capsys.readouterr().out
    assert cli.main(["models", "path", "small"]) == 2
    assert "model-missing" in capsys.readouterr().err
    server.status = 404
    assert cli.main(["models", "download", "small"]) == 2
    fault = capsys.readouterr().err
    assert fault.startswith("wakeline: download-failed: ")
    assert fault.count("\n") == 1
    server.status = 0
    assert cli.main(["models", "verify"]) == 0
    assert cli.main(["models", "download", "small"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / TOP)
    assert cli.main(["models", "verify", "small"]) == 0
    (tmp_path / TOP / "am" / "final.mdl").write_bytes(b"")
    assert cli.main(["models", "verify"]) == 1
    assert cli.main(["models", "download", "nothing"]) == 2


def test_a_model_of_a_package_is_not_downloaded(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="pip install"):
        download.download(catalog.catalog()["piper-joe"], tmp_path)
