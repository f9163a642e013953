"""What ``annotate`` is told."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from prox_spark.config.engines import EndpointSettings
from prox_spark.section import Section

_OURS = ("model", "messages", "response_format", "stream", "n")


class AnnotateConfig(Section):
    """A sample of ``documents`` that a large model scores and writes programs for."""

    endpoint: EndpointSettings
    """A chat endpoint with the large model."""
    output: str
    """Folder of the Parquet files for ``adapt``, where the job is started; they are written anew each time."""
    documents: Annotated[int, Field(gt=0)] = 1000
    """So many documents are drawn, by a hash of their id and the seed: the same again, and more of them hold the fewer."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Draw about this share of all documents instead."""
    seed: int = 0
    """Another seed draws other documents, and splits sites otherwise."""
    tasks: Annotated[tuple[Literal["scores", "programs"], ...], Field(min_length=1)] = ("scores", "programs")
    """``scores``: one answer a document; ``programs``: three a chunk (navigation, links, footer)."""
    document_characters: Annotated[int, Field(ge=100)] = 8000
    """Longer documents are cut here before they are scored."""
    chunk_characters: Annotated[int, Field(ge=100)] = 6000
    """Characters of a chunk, labels and line ends counted; a longer line is not sent and stays."""
    max_removed_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    """A page of whose words the merged programs remove more is no training page."""
    validation_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """About this share of the sites goes to the validation files, with all their documents."""
    structured: bool = True
    """Send the answers' JSON schema along (``response_format``); the prompts ask for the same JSON either way."""
    parameters: dict[str, Any] = {"temperature": 0.0, "max_tokens": 1024}
    """What else stands in every request; some models want ``max_completion_tokens`` and no ``temperature``."""
    batch_documents: Annotated[int, Field(gt=0)] = 256
    """The answers about so many documents are committed at a time: what an interrupted run loses at most."""

    @field_validator("output")
    @classmethod
    def _local(cls, folder: str) -> str:
        if "://" in folder:
            raise ValueError(
                f"{folder!r} is no folder of the machine that this runs on; adapt reads the files from there"
            )
        return folder

    @field_validator("parameters")
    @classmethod
    def _not_ours(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        for name in _OURS:
            if name in parameters:
                raise ValueError(f"{name} is not for parameters to set")
        return parameters
