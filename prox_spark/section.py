"""The base class of all validated input: configuration, refiner files, suites."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
"""A share or a probability."""


class Section(BaseModel):
    """Frozen; an unknown key is an error. A field's docstring is its description (``docs/configuration.md``).

    Errors do not repeat the given value: it may be a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)
