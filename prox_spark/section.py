"""The base of everything that is read from outside and checked: configuration, refiner files, suites."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Frozen; an unknown key is an error. A field's docstring is its description (``docs/configuration.md``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
