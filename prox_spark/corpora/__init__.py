"""Corpora as they lie on disks: listing files, reading records."""

from prox_spark.corpora.files import FileInfo, list_files
from prox_spark.corpora.formats import FORMATS
from prox_spark.corpora.read import read_file

__all__ = ["FORMATS", "FileInfo", "list_files", "read_file"]
