"""Voice detection with WebRTC's detector: one bit for each 10 ms frame."""

from __future__ import annotations

from typing import Any

from models.engines import RATE, EngineError, EngineUnavailable, Pcm

_FRAME = RATE // 100


class WebRtcVoiceDetector:
    """WebRTC's Gaussian mixture detector; mode 3 calls the least amount of noise speech."""

    def __init__(self, mode: int = 3) -> None:
        if mode not in range(4):
            raise ValueError(f"mode is 0 to 3, not {mode}")
        self._mode = mode
        self._vad: Any = None

    def load(self) -> None:
        try:
            import webrtcvad
        except ImportError as error:
            raise EngineUnavailable("webrtcvad is not installed: pip install webrtcvad-wheels") from error
        self._vad = webrtcvad.Vad(self._mode)

    def is_speech(self, frame: Pcm) -> bool:
        """Whether these 160 samples sound like speech."""
        if len(frame) != _FRAME:
            raise ValueError(f"a frame is {_FRAME} samples, not {len(frame)}")
        if self._vad is None:
            raise EngineError("the voice detector is not loaded")
        return bool(self._vad.is_speech(frame.tobytes(), RATE))
