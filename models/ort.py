"""Sessions of onnxruntime as the engines use them: no arena, and an inference that another thread can end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from models.engines import EngineError, EngineUnavailable, ModelUnavailable


class Stopped(Exception):
    """The inference was ended by `stop`."""


class StoppableSession:
    """Stands where a library expects its InferenceSession, and adds `arm` and `stop`."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._stopped = False
        self._options: Any = None

    def arm(self) -> None:
        """A new job begins: an earlier stop no longer counts."""
        with self._lock:
            self._stopped = False

    def stop(self) -> None:
        """End the inference that runs and refuse further ones until `arm`. From any thread."""
        with self._lock:
            self._stopped = True
            if self._options is not None:
                self._options.terminate = True

    @property
    def stopped(self) -> bool:
        """Whether the job was stopped."""
        return self._stopped

    def run(self, outputs: Any, feeds: Any) -> Any:
        """Like InferenceSession.run; raises Stopped once `stop` was called."""
        import onnxruntime

        with self._lock:
            if self._stopped:
                raise Stopped
            # New for every run: a terminate flag that was set fails the next run too.
            self._options = onnxruntime.RunOptions()
            self._options.log_severity_level = 4  # it would print its own termination to stderr
            options = self._options
        try:
            return self._session.run(outputs, feeds, options)
        except Exception as error:  # onnxruntime's errors share no base class below Exception
            if self._stopped:
                raise Stopped from None
            raise EngineError("the voice model failed") from error
        finally:
            with self._lock:
                self._options = None


def open_session(path: Path, threads: int, also: str = "") -> Any:
    """An InferenceSession that keeps no arena: the arena would hold the memory of the longest input for good.

    `also` is a tensor inside the graph that becomes its last output.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineUnavailable("onnxruntime is not installed: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        model = path.read_bytes() + _output(also) if also else str(path)
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise ModelUnavailable(f"{path} is not a model onnxruntime can open") from error


def _output(name: str) -> bytes:
    """A model with nothing but one output in its graph: appended to another model, protobuf reads the two as one."""
    value = b"\x0a" + bytes([len(name)]) + name.encode()
    graph = b"\x62" + bytes([len(value)]) + value
    return b"\x3a" + bytes([len(graph)]) + graph
