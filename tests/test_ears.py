"""The ears as a process: what must not pile up in them, and what ends them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from audio import ears, portaudio
from audio.portaudio import SoundCardError
from audio.wire import EarsConfig


def test_looking_for_a_card_that_is_not_there_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ears, "rescan", lambda: None)
    monkeypatch.setattr(portaudio, "list_devices", list)
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        with pytest.raises(SoundCardError):
            ears._open_card(EarsConfig(epoch=1))
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_worker_that_ends_by_a_mistake_ends_the_ears_and_tells_no_words() -> None:
    program = """
import logging, sys, threading
from audio import ears
from audio.commands import FinishRecognition
from audio.workers import RecognitionJob, WorkerThread

class Broken:
    def finish(self):
        raise RuntimeError("my name is Ada")

logging.basicConfig(stream=sys.stderr)
threading.excepthook = ears.end_with_thread
worker = WorkerThread(RecognitionJob(Broken()), print)
worker.start()
worker.put(FinishRecognition(turn=1))
threading.Event().wait(30)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=25, check=False)
    assert ended.returncode == ears.EXIT_FAULT
    assert "wakeline-stt: RuntimeError" in ended.stderr
    assert "Ada" not in ended.stderr
