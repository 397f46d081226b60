"""What fields of the configuration have in common."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _as_text(value):
    if isinstance(value, str) and not (value.isprintable() and len(value) < 1000):
        raise ValueError("must be a text of one line")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**999 else value


Text = Annotated[str, BeforeValidator(_as_text), Field(min_length=1)]
Positive = Annotated[int, Field(gt=0, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
