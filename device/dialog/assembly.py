"""From the configuration and the registered functions to a dialog that is ready to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from device.config import Config
from device.dialog.dialog import Dialog, Runner
from device.dialog.forms import Form, Forms, Slot
from device.dialog.settings import Callee, DialogSettings
from device.functions.contract import Origin
from device.functions.registry import FunctionSpec, Registry
from device.functions.schema import SlotSpec


def build_dialog(
    config: Config,
    registry: Registry,
    runner: Runner,
    clock: Callable[[], datetime],
    *,
    origin: Origin = "voice",
    clock_trusted: Callable[[], bool] = lambda: True,
) -> Dialog:
    """The dialog of the house. `clock` gives the present with the house's time zone.

    Raises:
        LanguageInvalid: a sentence file cannot be used; the message names it.
    """
    forms = forms_of(registry.for_origin(origin))
    settings = replace(dialog_settings(config), clock_trusted=clock_trusted)
    return Dialog(forms, runner, settings, clock, origin=origin)


def forms_of(functions: Iterable[FunctionSpec]) -> Forms:
    """The functions as the dialog fills them in; an alias means the same form."""
    specs = tuple(functions)
    forms = [
        Form(
            function=spec.name,
            slots=tuple(_slot(slot) for slot in spec.slots),
            confirm=spec.confirm,
            effect=spec.effect,
            summary=spec.description,
        )
        for spec in specs
    ]
    return Forms(forms, {alias: spec.name for spec in specs for alias in spec.alias})


def dialog_settings(config: Config) -> DialogSettings:
    """What the dialog needs of the configuration."""
    extensions = config.paths.extensions
    return DialogSettings(
        language=config.dialog.language,
        sentences=(extensions,) if extensions is not None and extensions.is_dir() else (),
        callees=tuple(Callee(name, emergency=entry.emergency) for name, entry in config.destinations.items()),
        hours=config.book.open_on,
        min_confidence=config.dialog.min_confidence,
        context_seconds=config.dialog.context_s,
    )


def _slot(spec: SlotSpec) -> Slot:
    return Slot(spec.name, spec.kind, spec.question, spec.retry, spec.required, spec.options)
