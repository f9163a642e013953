"""The fuse: a refinement outside its limits is not committed."""

from collections.abc import Mapping

from prox_spark.config.models import FuseConfig
from prox_spark.errors import FuseError


def check_fuse(fuse: FuseConfig, counts: Mapping[str, int], refinement: str) -> None:
    """Raise ``FuseError`` if a share is outside its bounds; refinements under ``fuse.min_documents`` are not checked."""
    if counts["documents"] < fuse.min_documents:
        return
    shares = {
        "kept_documents": (_share(counts["refined"], counts["documents"]), fuse.kept_documents),
        "kept_characters": (_share(counts["characters_kept"], counts["characters"]), fuse.kept_characters),
        "failed_chunks": (_share(counts["failed_chunks"], counts["chunks"]), (0.0, fuse.failed_chunks)),
    }
    for name, (share, (low, high)) in shares.items():
        if share is not None and not low <= share <= high:
            raise FuseError(
                f"refinement {refinement!r}: {name} is {share:.4f}, outside fuse.{name} [{low}, {high}]; nothing was committed. "
                f"Check the refiner, or change fuse.{name} if this is intended"
            )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
