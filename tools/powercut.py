"""Cuts the power at every fsync of a run of effects, and opens what a disk would then hold.

    python -m tools.powercut [--effects 500] [--seed N]

A child does the effects through the real runner and store under `strace`, which writes down every write, truncation,
fsync and unlink in their order; before each next fsync (and at the end) three disks are made from that record:

- nothing: of what was not yet synced, nothing has arrived; a new file whose folder was not synced is not there;
- some: a random choice of the unsynced writes has arrived, out of order, some of them torn at a sector;
- all: everything has arrived.

Each is opened by the store. It must open, be sound, and hold every effect that had been acknowledged, once.
The shared-memory index (`-shm`) is never durable: SQLite rebuilds it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from device.bench import load_functions
from device.functions.contract import FunctionCall, FunctionResult
from device.functions.hours import BookSettings
from device.functions.registry import Registry
from device.functions.runner import Runner, context_factory
from device.functions.sqlite_store import NAME, SqliteStore

SECTOR = 512
_CALLS = "openat,write,pwrite64,pwritev,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2"
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)$", re.DOTALL)
_FD = re.compile(r"^\d+<([^>]*)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')

Loss = Literal["nothing", "some", "all"]
LOSSES: tuple[Loss, ...] = ("nothing", "some", "all")


# -- the run that is recorded -----------------------------------------------------------------------------------------
def drive(folder: Path, effects: int) -> None:
    """The first half one after the other, the second in crowds that share their commits; each acknowledged effect is
    a line in `acknowledged`."""
    store = SqliteStore(folder / NAME)
    registry = Registry.load([folder / "functions"])
    runner = Runner(registry, store, context_factory(lambda: datetime.now(UTC), UTC, BookSettings()))
    told = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def one(number: int) -> None:
        call = FunctionCall(f"cut:{number}", "recordOrder", {"number": number}, "call", f"cut-{number % 16}")
        result: FunctionResult = await runner.run(call)
        if result.error is not None:
            raise result.error
        os.write(told, f"{call.id}\n".encode())

    async def all() -> None:
        for number in range(effects // 2):
            await one(number)
        for begin in range(effects // 2, effects, 16):
            await asyncio.gather(*(one(number) for number in range(begin, min(begin + 16, effects))))
        await runner.drain()

    asyncio.run(all())
    store.close()


def record(folder: Path, effects: int) -> Path:
    """Run `drive` under strace; the record's file."""
    functions = folder / "functions"
    functions.mkdir(parents=True)
    shutil.copy(str(load_functions.__file__), functions / "load.py")
    trace = folder.parent / "trace"
    command = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={_CALLS}", "-o", str(trace)]
    command += [sys.executable, "-m", "tools.powercut", "--drive", str(folder), "--effects", str(effects)]
    subprocess.run(command, check=True, timeout=300)
    return trace


# -- the record -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Op:
    """One system call; `begun` is False for the line on which it ended."""

    name: str
    path: str
    data: bytes = b""
    at: int = 0
    begun: bool = True
    ended: bool = True


def read(trace: Path, folder: Path) -> Iterator[Op]:
    """Calls on the folder's files in order; a call during which others ran comes twice, at its begin and its end."""
    open_calls: dict[str, tuple[str, str]] = {}
    with trace.open() as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            pid, resumed, name, rest = found.groups()
            if resumed:
                name, before = open_calls.pop(pid, (resumed, ""))
                op = _op(name, before + rest, folder, begun=False, ended=True)
            elif rest.endswith("<unfinished ...>"):
                rest = rest.removesuffix("<unfinished ...>").rstrip()
                open_calls[pid] = (name, rest)
                op = _op(name, rest, folder, begun=True, ended=False)
            else:
                op = _op(name, rest, folder, begun=True, ended=True)
            if op is not None:
                yield op


def _op(name: str, rest: str, folder: Path, *, begun: bool, ended: bool) -> Op | None:
    if ended and " = -1 " in rest[-120:]:
        return None
    strings = [_decoded(text) for text in _TEXT.findall(rest)]
    described = _FD.match(rest)
    path = _decoded(described[1]).decode() if described else (strings[0].decode() if strings else "")
    if not path.startswith(str(folder)):
        return None
    if name == "openat":
        path = strings[0].decode()
        return Op("create", path, begun=begun, ended=ended) if "O_CREAT" in rest else None
    numbers = rest[rest.rfind('"') + 1 :] if '"' in rest else rest[rest.find(">") + 1 :]
    arguments = [int(number) for number in re.findall(r", (\d+)", numbers)]
    match name:
        case "write" | "pwrite64":
            offset = arguments[1] if name == "pwrite64" and len(arguments) > 1 else -1
            return Op("write", path, strings[0] if strings else b"", offset, begun, ended)
        case "ftruncate":
            return Op("truncate", path, b"", arguments[0], begun, ended)
        case "fsync" | "fdatasync":
            return Op("sync", path, b"", 0, begun, ended)
        case "unlink" | "unlinkat":
            return Op("unlink", strings[0].decode(), b"", 0, begun, ended)
    raise ValueError(f"{name} on {path}: not expected of SQLite")


def _decoded(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", "")) if text.startswith("\\x") else text.encode()


# -- the disk ---------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class File:
    """One file: what is certainly on the disk, and what was written since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Op] = field(default_factory=list)
    entered: bool = False
    """Its name is durable: its folder was synced since it was made."""
    removed: bool = False
    """Its name was taken away, and that is not durable yet."""

    def image(self, loss: Loss, dice: random.Random) -> bytearray:
        image = bytearray(self.durable)
        pending = self.pending if loss == "all" else []
        if loss == "some":
            pending = [_torn(op, dice) for op in self.pending if dice.random() < 0.5]
            dice.shuffle(pending)
        for op in pending:
            _apply(image, op)
        return image


def _torn(op: Op, dice: random.Random) -> Op:
    """Half of the writes arrive only up to a sector."""
    if op.name != "write" or dice.random() < 0.5:
        return op
    sectors = range(op.at // SECTOR * SECTOR + SECTOR, op.at + len(op.data), SECTOR)
    end = dice.choice(sectors) if sectors else op.at
    return Op("write", op.path, op.data[: end - op.at], op.at)


def _apply(image: bytearray, op: Op) -> None:
    if op.name == "truncate":
        del image[op.at :]
        image.extend(bytes(op.at - len(image)))
        return
    image.extend(bytes(max(0, op.at - len(image))))
    image[op.at : op.at + len(op.data)] = op.data


class Disk:
    """Follows the record; tells which moments are worth a cut."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self.files: dict[str, File] = {}
        self.acknowledged: list[str] = []
        self._syncing: dict[str, int] = {}

    def take(self, op: Op) -> None:
        if op.path.endswith("/acknowledged"):
            if op.name == "write" and op.begun:
                self.acknowledged.append(op.data.decode().strip())
            return
        if op.path.endswith("-shm") or not (op.path == self._folder or Path(op.path).name.startswith(NAME)):
            return
        if op.name == "sync":
            self._sync(op)
        elif op.begun:
            file = self.files.setdefault(op.path, File())
            if op.name == "unlink":
                file.removed = True
            elif op.name == "create":
                file.removed = False
            else:
                file.pending.append(op)

    def _sync(self, op: Op) -> None:
        """Durable is at its end what had been written at its begin."""
        if op.begun:
            self._syncing[op.path] = len(self.files[op.path].pending) if op.path in self.files else 0
        if not op.ended:
            return
        if op.path == self._folder:
            self.files = {path: file for path, file in self.files.items() if not file.removed}
            for file in self.files.values():
                file.entered = True
            return
        file = self.files[op.path]
        count = self._syncing.pop(op.path)
        for written in file.pending[:count]:
            _apply(file.durable, written)
        del file.pending[:count]

    def cut(self, into: Path, loss: Loss, dice: random.Random) -> None:
        """Lay what the disk holds into a folder."""
        for path, file in self.files.items():
            there = file.entered or loss == "all" or (loss == "some" and dice.random() < 0.5)
            gone = file.removed and (loss == "all" or (loss == "some" and dice.random() < 0.5))
            if there and not gone:
                (into / Path(path).name).write_bytes(file.image(loss, dice))


# -- the judgement ----------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Toll:
    """What the cuts have shown."""

    boundaries: int = 0
    disks: int = 0
    acknowledged: int = 0
    faults: list[str] = field(default_factory=list)


def judge(folder: Path, acknowledged: Sequence[str]) -> list[str]:
    """Open it as the appliance does; what is wrong with it."""
    store = SqliteStore(folder / NAME)
    store.close()
    connection = sqlite3.connect(folder / NAME)
    try:
        faults = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        done = {row[0] for row in connection.execute("SELECT id FROM function_calls WHERE state = 'done'")}
        lines = [row[0] for row in connection.execute("SELECT call_id FROM appointments")]
    finally:
        connection.close()
    faults += [f"{id} was acknowledged and is lost" for id in acknowledged if id not in done]
    if len(set(lines)) != len(lines):
        faults.append("an effect is there twice")
    if set(lines) != done:
        faults.append(f"effects without record or records without effect: {sorted(set(lines) ^ done)[:3]}")
    return faults


def cut_everywhere(trace: Path, folder: Path, work: Path, dice: random.Random) -> Toll:
    """A cut before every sync, and one at the end."""
    disk, toll = Disk(folder), Toll()

    def cut() -> None:
        toll.boundaries += 1
        for loss in LOSSES:
            into = Path(tempfile.mkdtemp(dir=work))
            disk.cut(into, loss, dice)
            toll.disks += 1
            try:
                faults = judge(into, disk.acknowledged)
            except Exception as error:  # whatever it is: it does not open, and that is the finding
                faults = [f"does not open: {type(error).__name__}: {error}"]
            toll.faults += [f"cut {toll.boundaries}, {loss} arrived: {fault}" for fault in faults]
            shutil.rmtree(into)

    for op in read(trace, folder):
        if op.name == "sync" and op.begun:
            cut()
        disk.take(op)
    cut()
    toll.acknowledged = len(disk.acknowledged)
    return toll


def run(effects: int, seed: int, place: Path) -> Toll:
    """Record and cut."""
    folder, work = place / "state", place / "disks"
    folder.mkdir()
    work.mkdir()
    return cut_everywhere(record(folder, effects), folder, work, random.Random(seed))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.powercut", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--effects", type=int, default=500)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.drive is not None:
        drive(options.drive, options.effects)
        return 0
    # A thousand disks are opened: in memory where that is to be had.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="powercut-", dir=memory) as place:
        toll = run(options.effects, options.seed, Path(place))
    print(f"{toll.acknowledged} effects, cut at {toll.boundaries} syncs: {toll.disks} disks opened")
    print("\n".join(toll.faults[:20]) or "every acknowledged effect was there")
    return 1 if toll.faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
