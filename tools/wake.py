"""Measures the wake word detectors: each stage alone and the cascade, on the same audio.

    python -m tools.wake people [FOLDER]        recordings of people; the word is in the file's name (alexa_01.wav)
    python -m tools.wake synthetic [--seeds 5]  hey_jarvis, alexa and okay_nabu by two voices at five speeds
    python -m tools.wake false FOLDER...        hours of other speech (.wav and Asterisk's .g722), by folder
    python -m tools.wake reading --hours 6      synthesised reading of our own documentation
    python -m tools.wake words --hours 1        synthesised isolated words and names

Recall is in percent with its 95 % interval (Wilson); noise is pink, against the level of the active speech.
"""

from __future__ import annotations

import argparse
import math
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from audio.frames import FRAME, RATE, Pcm, silence
from audio.settings import WakeSettings
from audio.wav import WavError, read_wav
from device.bench.noise import active_level, pink
from models.wake_micro import MicroWakeDetector
from models.wake_open import OpenWakeDetector
from models.wake_verify import OpenWakeVerifier
from models.wake_words import WakeWord

STAGES = ("micro", "open", "cascade")
WORDS = ("hey_jarvis", "alexa", "okay_nabu")
SPEEDS = (0.8, 0.9, 1.0, 1.15, 1.3)
LEVELS = (None, 10.0, 5.0)
_ROOT = Path(__file__).parent.parent


class Detectors:
    """The three ways of listening for one word, over a whole recording at a time."""

    def __init__(self, word: str) -> None:
        self._word = word
        one = [WakeWord(word)]
        self.micro = MicroWakeDetector(one)
        self.first = MicroWakeDetector(one, confirmed={word})
        self.open = OpenWakeDetector(one)
        self.second = OpenWakeVerifier(one)
        for engine in (self.micro, self.first, self.open, self.second):
            engine.load()
        self._settings = WakeSettings()
        self.triggers = 0
        self.spent_s = 0.0
        """CPU of the second stage."""

    def heard(self, pcm: Pcm, *, stages: Sequence[str] = STAGES) -> dict[str, int]:
        """How often each way has heard the word."""
        counts = dict.fromkeys(stages, 0)
        before = self._settings.before_ms * RATE // 1000
        after = self._settings.after_ms * RATE // 1000
        whole = np.concatenate([silence(before), pcm, silence(after)])
        quiet_until = 0
        for start in range(0, len(pcm) // FRAME * FRAME, FRAME):
            frame = pcm[start : start + FRAME]
            if "micro" in stages:
                counts["micro"] += len(self.micro.process(frame))
            if "open" in stages:
                counts["open"] += len(self.open.process(frame))
            if self.first.process(frame) and start >= quiet_until:
                quiet_until = start + RATE * 3 // 2
                end = start + FRAME
                self.triggers += 1
                clock = time.process_time()
                verdict = self.second.verify(self._word, whole[end : end + before + after])
                self.spent_s += time.process_time() - clock
                counts["cascade"] += verdict.confirmed
        return counts


def interval(hits: int, of: int) -> str:
    """Percent with the Wilson interval."""
    share, z = hits / of, 1.96
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return f"{100 * share:5.1f} % ({100 * (middle - half):.0f}-{100 * (middle + half):.0f})"


def noisy(speech: Pcm, level: float | None, seed: int) -> Pcm:
    """1.5 s of room before and 1 s after; noise so many dB below the active speech, or the hiss of a quiet room."""
    rng = np.random.default_rng(seed)
    power = active_level(speech)
    whole = np.concatenate([np.zeros(RATE * 3 // 2), speech, np.zeros(RATE)])
    noise = (
        pink(len(whole), rng) * power * 10 ** (-level / 20)
        if level is not None
        else rng.standard_normal(len(whole)) * 4
    )
    return np.clip(whole + noise, -32768, 32767).astype(np.int16)


def recall(clips: Sequence[Pcm], word: str) -> None:
    """Print a row for each level of noise."""
    detectors = Detectors(word)
    for level in LEVELS:
        hits = dict.fromkeys(STAGES, 0)
        for seed, clip in enumerate(clips):
            for stage, count in detectors.heard(noisy(clip, level, seed)).items():
                hits[stage] += count > 0
        row = "  ".join(f"{stage} {interval(hits[stage], len(clips))}" for stage in STAGES)
        print(f"{word:11} {'clean' if level is None else f'{level:.0f} dB':6} {row}", flush=True)


def people(folder: Path) -> None:
    recall([read_wav(path) for path in sorted(folder.glob("alexa*.wav"))], "alexa")
    detectors = Detectors("hey_jarvis")
    bare = sorted(folder.glob("jarvis*.wav"))
    counts = dict.fromkeys(STAGES, 0)
    for seed, path in enumerate(bare):
        for stage, count in detectors.heard(noisy(read_wav(path), None, seed)).items():
            counts[stage] += count > 0
    print(f'bare "jarvis" taken for hey_jarvis, of {len(bare)}: {counts}')


def synthetic(seeds: int) -> None:
    for word in WORDS:
        said = word.replace("_", " ").title() + "."
        clips = [pcm for name in ("joe", "hibari") for speed in SPEEDS for pcm in spoken(name, said, speed, seeds)]
        recall(clips, word)


def spoken(name: str, text: str, speed: float, seeds: int) -> Iterator[Pcm]:
    """The text `seeds` times; an engine that always says the same gets another pitch and level each time."""
    from audio.resample import resample
    from models.tts_hibari import HibariSynthesizer
    from models.tts_piper import PiperSynthesizer

    voice = PiperSynthesizer(length_scale=1 / speed) if name == "joe" else HibariSynthesizer(speed=speed)
    voice.load()
    for seed in range(seeds):
        pcm = np.concatenate([clause.pcm for clause in voice.synthesize(text)])
        rate = round(voice.rate * (1 + 0.03 * (seed - seeds // 2)))
        gain = 0.35 + 0.15 * seed
        yield (resample(pcm, rate, RATE) * min(gain, 1.0)).astype(np.int16)


def false_alarms(audio: Iterable[Pcm], kind: str, words: Sequence[str]) -> None:
    """Print how often each word was heard where nobody said it."""
    detectors = {word: Detectors(word) for word in words}
    counts = {word: dict.fromkeys(STAGES, 0) for word in words}
    samples = 0
    for pcm in audio:
        padded = np.concatenate([pcm, silence(RATE // 2)])
        samples += len(padded)
        for word, engines in detectors.items():
            for stage, count in engines.heard(padded, stages=("micro", "cascade")).items():
                counts[word][stage] += count
    hours = samples / RATE / 3600
    for word in words:
        spent = detectors[word]
        print(
            f"{kind}: {hours:.2f} h, {word}: micro {counts[word]['micro']}, first stage {spent.triggers}, "
            f"cascade {counts[word]['cascade']}; second stage {spent.spent_s:.0f} s of CPU",
            flush=True,
        )


def recordings(folder: Path) -> Iterator[Pcm]:
    """Every .wav and .g722 below the folder."""
    for path in sorted([*folder.rglob("*.wav"), *folder.rglob("*.g722")]):
        if path.suffix == ".g722":
            import G722

            yield np.asarray(G722.G722(16000, 64000).decode(path.read_bytes()), np.int16)
            continue
        try:
            yield read_wav(path)
        except WavError as error:
            print(f"left out: {path}: {error.code}")


def sentences() -> list[str]:
    """What there is to read: the sentences of our own documentation, without tables and code."""
    pages = [_ROOT / "README.md", _ROOT / "CHANGELOG.md", *sorted((_ROOT / "docs").rglob("*.md"))]
    found: list[str] = []
    for page in pages:
        prose = re.sub(r"```.*?```|^[|#].*?$|`[^`]*`|https?://\S+", " ", page.read_text(), flags=re.S | re.M)
        found += [" ".join(one.split()) for one in re.split(r"(?<=[.!?:])\s", prose) if len(one.split()) > 4]
    return found


def made(kind: str, hours: float, seed: int) -> Iterator[Pcm]:
    """Synthesised by hibari at several speeds and pitches: sentences, or lists of words and names."""
    from audio.resample import resample
    from models.tts_hibari import HibariSynthesizer

    rng = random.Random(seed)
    texts = sentences()
    words = sorted({word.strip(".,;:!?\"'()").lower() for text in texts for word in text.split()})
    words += ["Athena", "Amelia", "Travis", "Alexander", "Alexis", "Jarvis", "Marvin", "Davis", "Nadja", "Oscar"] * 20
    voices = [HibariSynthesizer(speed=speed) for speed in (0.85, 1.0, 1.2)]
    for voice in voices:
        voice.load()
    total = 0
    while total < hours * 3600 * RATE:
        voice = rng.choice(voices)
        text = rng.choice(texts) if kind == "reading" else ". ".join(rng.sample(words, 12)) + "."
        for clause in voice.synthesize(text):
            pcm = resample(clause.pcm, round(voice.rate * rng.uniform(0.92, 1.08)), RATE)
            total += len(pcm)
            yield pcm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("people", "synthetic", "false", "reading", "words"))
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--words", nargs="*", default=list(WORDS))
    arguments = parser.parse_args()
    match arguments.what:
        case "people":
            people(arguments.folders[0] if arguments.folders else Path("../shared/recordings/wake"))
        case "synthetic":
            synthetic(arguments.seeds)
        case "false":
            for folder in arguments.folders:
                false_alarms(recordings(folder), str(folder), arguments.words)
        case kind:
            false_alarms(made(kind, arguments.hours, arguments.seed), kind, arguments.words)


if __name__ == "__main__":
    main()
