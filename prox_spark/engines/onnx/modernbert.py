"""ModernBERT token classifiers (Warner et al., 2024, arXiv 2412.13663) as graphs for one chunk, with no work that no score needs.

What transformers' ``ModernBertForTokenClassification`` computes, with these differences, none of which changes a score by more
than rounding:

- One chunk is one run: nothing is padded, and a score does not depend on which chunks are asked beside it.
- The last layer and the head run only where a score is read: a tenth of a page's tokens.
- A local layer reads each token's neighbours in blocks instead of all tokens under a mask.
- What the first layer does with a token alone is a table of the vocabulary where that is small.

With ``int8``, matrices of the layers are whole numbers for each output, activations for each chunk (8 bits, dynamic).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from prox_spark.engines.onnx.graph import Graph
from prox_spark.errors import RefinerError

Weights = Mapping[str, "np.ndarray[Any, np.dtype[np.float32]]"]

_BLOCK = 64
"""Tokens of a local layer's block: larger ones read more that is masked, smaller ones make small matrices."""

_LEVELS = 64
"""Weights are whole numbers from -64 to 64: two products with 8-bit activations fit 16 bits, so that CPUs without VNNI, which
add them there, give the same sums."""

_TABLE_BYTES = 1 << 26
_MASKED = np.float32(-1e9)


@dataclass(frozen=True)
class Shape:
    """What ``config.json`` says of a model. ``local`` tokens on each side are what a local layer reads."""

    layers: tuple[str, ...]
    heads: int
    local: int
    theta: Mapping[str, float]
    epsilon: float


def read_shape(config: Mapping[str, Any], where: str) -> Shape:
    """The shape in a ``config.json``. Raises ``RefinerError`` for another architecture, or what no graph here computes."""
    if config.get("architectures") != ["ModernBertForTokenClassification"]:
        raise RefinerError(
            f"{where}: engine.kind onnx runs ModernBertForTokenClassification, and this is "
            f"{config.get('architectures')}; use engine.kind vllm or transformers"
        )
    activations = {config.get(name, "gelu") for name in ("hidden_activation", "classifier_activation")}
    rope = config.get("rope_parameters") or {
        "full_attention": {"rope_theta": config.get("global_rope_theta", 160000.0)},
        "sliding_attention": {"rope_theta": config.get("local_rope_theta", 10000.0)},
    }
    if activations != {"gelu"} or any(part.get("rope_type", "default") != "default" for part in rope.values()):
        raise RefinerError(
            f"{where}: engine.kind onnx computes gelu and the default rotary embedding only; use engine.kind vllm or transformers"
        )
    every = config.get("global_attn_every_n_layers", 3)
    kinds = config.get("layer_types") or [
        "sliding_attention" if layer % every else "full_attention" for layer in range(config["num_hidden_layers"])
    ]
    return Shape(
        layers=tuple(kinds),
        heads=config["num_attention_heads"],
        local=config.get("local_attention", 128) // 2,
        theta={kind: float(part["rope_theta"]) for kind, part in rope.items()},
        epsilon=float(config.get("norm_eps", 1e-5)),
    )


def build(shape: Shape, weights: Weights, *, context: int, label: int, int8: bool) -> bytes:
    """The model: P(``label``) from ``ids`` (at most ``context`` tokens of one chunk) at ``positions``.

    ``KeyError`` where a weight is missing.
    """
    return _Builder(shape, weights, context, int8).model(label)


class _Builder:
    def __init__(self, shape: Shape, weights: Weights, context: int, int8: bool) -> None:
        self._shape, self._weights, self._int8 = shape, weights, int8
        self._graph = graph = Graph()
        self._hidden = weights["model.final_norm.weight"].shape[0]
        self._length = graph.add("Shape", "ids")
        self._places = self._range(graph.add("Squeeze", self._length))
        self._rotations = {kind: self._rotation(theta, context) for kind, theta in shape.theta.items()}
        self._blocks = self._cut() if "sliding_attention" in shape.layers[:-1] else ("", "", "")

    def model(self, label: int) -> bytes:
        graph = self._graph
        x = graph.add("Unsqueeze", graph.add("Gather", graph.constant(self._embeddings()), "ids"), graph.integers(0))
        for layer in range(len(self._shape.layers)):
            x = self._layer(layer, x)
        x = self._norm(x, "model.final_norm")
        x = graph.add("Gelu", self._product(x, "head.dense"), ours=True)
        x = self._product(self._norm(x, "head.norm"), "classifier")
        p = graph.add("Gather", graph.add("Softmax", x, axis=-1), graph.constant(np.int64(label)), axis=2)
        return graph.serialise(["ids", "positions"], graph.add("Squeeze", p, graph.integers(0)))

    def _layer(self, layer: int, x: str) -> str:
        graph, name = self._graph, f"model.layers.{layer}"
        last = layer == len(self._shape.layers) - 1
        q, k, v = self._attended(layer, x, last)
        a = self._attention(self._shape.layers[layer], q, k, v, last)
        x = graph.add("Gather", x, "positions", axis=1) if last else x
        x = graph.add("Add", x, *self._products(a, f"{name}.attn.Wo"))
        both = self._products(self._norm(x, f"{name}.mlp_norm"), f"{name}.mlp.Wi", parts=2)
        gated = graph.add("Mul", graph.add("Gelu", both[0], ours=True), both[1])
        return graph.add("Add", x, *self._products(gated, f"{name}.mlp.Wo"))

    def _attended(self, layer: int, x: str, last: bool) -> list[str]:
        """Queries, keys and values; queries only where a score is read, in the last layer."""
        graph, name = self._graph, f"model.layers.{layer}.attn.Wqkv"
        if layer:
            x = self._norm(x, f"model.layers.{layer}.attn_norm")
        matrix = self._weights[f"{name}.weight"]
        if layer == 0 and not last and len(self._embeddings()) * matrix.shape[0] * 4 <= _TABLE_BYTES:
            table = self._embeddings() @ matrix.T + self._weights.get(f"{name}.bias", np.float32(0))
            parts = [graph.add("Gather", graph.constant(part), "ids") for part in np.split(table, 3, axis=1)]
            return [graph.add("Unsqueeze", part, graph.integers(0)) for part in parts]
        if not last:
            return self._products(x, name, parts=3)
        here = graph.add("Gather", x, "positions", axis=1)
        return [*self._products(here, name, parts=3)[:1], *self._products(x, name, parts=3)[1:]]

    def _attention(self, kind: str, q: str, k: str, v: str, last: bool) -> str:
        graph = self._graph
        rotation = self._rotations[kind]
        asked = graph.add("Unsqueeze", "positions", graph.integers(0)) if last else self._row(self._places)
        q = graph.add("RotaryEmbedding", q, asked, *rotation, ours=True)
        k = graph.add("RotaryEmbedding", k, self._row(self._places), *rotation, ours=True)
        mask: tuple[str, ...] = ()
        if kind == "sliding_attention" and last:
            apart = graph.add("Sub", self._column(asked), self._places)
            mask = ("", "", self._mask(self._near(apart)))
        elif kind == "sliding_attention":
            queries, keys, near = self._blocks
            q, k, v = (
                graph.add("Squeeze", graph.add("Gather", value, places, axis=1), graph.integers(0))
                for value, places in ((q, queries), (k, keys), (v, keys))
            )
            mask = ("", "", near)
        found = graph.add("MultiHeadAttention", q, k, v, *mask, ours=True, num_heads=self._shape.heads)
        if kind == "full_attention" or last:
            return found
        rows = graph.add("Reshape", found, graph.integers(1, -1, self._hidden))
        return graph.add("Slice", rows, graph.integers(0), self._length, graph.integers(1))

    def _cut(self) -> tuple[str, str, str]:
        """Blocks of a chunk: places of their queries and of the keys that these may read, and the mask between them."""
        graph, local = self._graph, self._shape.local
        last = graph.add("Sub", self._length, graph.integers(1))
        count = graph.add("Add", graph.add("Div", last, graph.integers(_BLOCK)), graph.integers(1))
        firsts = graph.add("Mul", self._range(graph.add("Squeeze", count)), graph.integers(_BLOCK))
        starts = graph.add("Unsqueeze", firsts, graph.integers(1))
        inside, around = np.arange(_BLOCK), np.arange(-local, _BLOCK + local)
        queries = graph.add("Min", graph.add("Add", starts, graph.integers(*inside)), last)
        places = graph.add("Add", starts, graph.integers(*around))
        keys = graph.add("Max", graph.add("Min", places, last), graph.integers(0))
        # Each key once: at a chunk's ends, places outside it stand for its first or last token.
        there = graph.add("Unsqueeze", graph.add("Equal", keys, places), graph.integers(1))
        near = np.abs(inside[:, None] - around) <= local
        return queries, keys, self._mask(graph.add("And", there, graph.constant(near)))

    def _near(self, apart: str) -> str:
        return self._graph.add("LessOrEqual", self._graph.add("Abs", apart), self._graph.integers(self._shape.local))

    def _mask(self, allowed: str) -> str:
        """What is added to the products of queries and keys, for all heads alike."""
        graph = self._graph
        added = graph.add("Where", allowed, graph.constant(np.float32(0)), graph.constant(_MASKED))
        return graph.add("Unsqueeze", added, graph.integers(1))

    def _products(self, x: str, name: str, parts: int = 1) -> list[str]:
        """Products of ``x`` and each part of a layer's matrix."""
        graph, weights = self._graph, self._weights
        matrices = np.split(weights[f"{name}.weight"], parts)
        if not self._int8:
            found = [graph.add("MatMul", x, graph.constant(matrix.T)) for matrix in matrices]
        else:
            whole, scale, zero = graph.add_many("DynamicQuantizeLinear", x, values=3)
            found = []
            for matrix in matrices:
                scales = np.maximum(np.abs(matrix).max(1), np.float32(1e-12)) / np.float32(_LEVELS)
                levels = graph.constant(np.rint(matrix / scales[:, None]).astype(np.int8).T)
                found.append(
                    graph.add("MatMulIntegerToFloat", whole, levels, scale, graph.constant(scales), zero, ours=True)
                )
        if f"{name}.bias" not in weights:
            return found
        biases = np.split(weights[f"{name}.bias"], parts)
        return [graph.add("Add", one, graph.constant(bias)) for one, bias in zip(found, biases, strict=True)]

    def _product(self, x: str, name: str) -> str:
        """A product of the head, which has few rows: in single precision."""
        graph = self._graph
        found = graph.add("MatMul", x, graph.constant(self._weights[f"{name}.weight"].T))
        bias = self._weights.get(f"{name}.bias")
        return found if bias is None else graph.add("Add", found, graph.constant(bias))

    def _norm(self, x: str, name: str) -> str:
        graph = self._graph
        inputs = [graph.constant(self._weights[f"{name}.weight"])]
        if f"{name}.bias" in self._weights:
            inputs.append(graph.constant(self._weights[f"{name}.bias"]))
        return graph.add("LayerNormalization", x, *inputs, axis=-1, epsilon=self._shape.epsilon)

    def _embeddings(self) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """The vocabulary after the norm that follows it."""
        rows = self._weights["model.embeddings.tok_embeddings.weight"].astype(np.float64)
        rows = rows - rows.mean(1, keepdims=True)
        rows /= np.sqrt((rows**2).mean(1, keepdims=True) + self._shape.epsilon)
        rows = rows * self._weights["model.embeddings.norm.weight"]
        rows += self._weights.get("model.embeddings.norm.bias", np.float32(0))
        return cast("np.ndarray[Any, np.dtype[np.float32]]", rows.astype(np.float32))

    def _rotation(self, theta: float, context: int) -> tuple[str, str]:
        """Cosines and sines by place (Su et al., 2021, arXiv 2104.09864)."""
        size = self._hidden // self._shape.heads
        angles = np.arange(context)[:, None] / theta ** (np.arange(0, size, 2) / size)
        graph = self._graph
        return graph.constant(np.cos(angles).astype(np.float32)), graph.constant(np.sin(angles).astype(np.float32))

    def _range(self, stop: str) -> str:
        graph = self._graph
        return graph.add("Range", graph.constant(np.int64(0)), stop, graph.constant(np.int64(1)))

    def _row(self, vector: str) -> str:
        return self._graph.add("Unsqueeze", vector, self._graph.integers(0))

    def _column(self, row: str) -> str:
        return self._graph.add("Unsqueeze", row, self._graph.integers(2))
