"""The function contract: one typed function serves the voice, a text session and a call."""

from device.functions.context import Context, Outcome
from device.functions.contract import FunctionError, Refused
from device.functions.registry import function
from device.functions.schema import Slot

__all__ = ["Context", "FunctionError", "Outcome", "Refused", "Slot", "function"]
