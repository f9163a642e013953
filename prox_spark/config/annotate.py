"""Settings of ``annotate``."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from prox_spark.config.engines import EndpointSettings
from prox_spark.credentials import in_options
from prox_spark.section import Section

_OURS = ("model", "messages", "response_format", "stream", "n")


class AnnotateConfig(Section):
    """A sample of ``documents`` that a large model scores and writes programs for."""

    endpoint: EndpointSettings
    """A chat endpoint with the large model."""
    output: str
    """Folder for the Parquet files for ``adapt``, on the machine that starts the job. They are rewritten each time."""
    documents: Annotated[int, Field(gt=0)] = 1000
    """Size of the sample, drawn by a hash of id and seed: the sample is repeatable, and a larger one contains a smaller one."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Sample about this share of all documents instead."""
    seed: int = 0
    """Random seed of the sample and of the split of sites."""
    tasks: Annotated[tuple[Literal["scores", "programs"], ...], Field(min_length=1)] = ("scores", "programs")
    """``scores``: one request per document. ``programs``: three per chunk (navigation, links, footer)."""
    document_characters: Annotated[int, Field(ge=100)] = 8000
    """Cut longer documents to this many characters before they are scored."""
    chunk_characters: Annotated[int, Field(ge=100)] = 6000
    """Maximum characters of a chunk, including labels and line ends. A longer line is not sent, and is kept."""
    max_removed_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """Skip pages from which the programs remove a larger share of words."""
    validation_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Approximate share of sites whose documents go into the validation files."""
    structured: bool = True
    """Send the JSON schema of the answer (``response_format``). The prompts request the same JSON in any case."""
    parameters: dict[str, Any] = {"temperature": 0.0, "max_tokens": 1024}
    """Other parameters of every request. Some models need ``max_completion_tokens`` and no ``temperature``. On the command line,
    ``annotate.parameters.top_p=0.9`` adds one; ``null`` leaves one out."""
    batch_documents: Annotated[int, Field(gt=0)] = 256
    """Documents per commit. An interrupted run loses at most this much work."""

    @field_validator("output")
    @classmethod
    def _local(cls, folder: str) -> str:
        if "://" in folder:
            raise ValueError(f"{folder!r} is not a local folder; adapt reads the files from a local folder")
        return folder

    @field_validator("parameters")
    @classmethod
    def _not_ours(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        for name in _OURS:
            if name in parameters:
                raise ValueError(f"annotate sets {name} itself; remove it from parameters")
        if (why := in_options(parameters)) is not None:
            raise ValueError(why)
        return {name: value for name, value in parameters.items() if value is not None}
