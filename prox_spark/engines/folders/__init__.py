"""What a model folder holds, read once and without a model library: settings, headers of weights, special tokens."""

from prox_spark.engines.folders.fitness import check_fit, left_to_vllm
from prox_spark.engines.folders.reading import Folder, Said, read_folder, read_json
from prox_spark.engines.folders.tokens import OLDER, begin_token, end_tokens, serialised, stop_ids
from prox_spark.engines.folders.weights import Weights, check_weights, read_weights

__all__ = [
    "OLDER",
    "Folder",
    "Said",
    "Weights",
    "begin_token",
    "check_fit",
    "check_weights",
    "end_tokens",
    "left_to_vllm",
    "read_folder",
    "read_json",
    "read_weights",
    "serialised",
    "stop_ids",
]
