"""Owns what every section of the configuration has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

Percent = Annotated[float, Field(ge=0, le=1)]
MOST = 1e10
"""No setting is larger: dates and lengths of time stay within what the standard library can hold."""


class Section(BaseModel):
    """Base of every section: frozen, strict about unknown keys, documented by the sentence under each field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    @field_validator("*")
    @classmethod
    def _possible(cls, value: Any) -> Any:
        if isinstance(value, int | float) and abs(value) > MOST:
            raise ValueError(f"{value:g}: nobody means so much")
        return value
