"""Connected components of a graph in Spark: no row of it comes to the driver, and no row of Spark holds more than an edge.

The alternating algorithm of large-star and small-star (Kiveris et al. 2014, Connected Components in MapReduce and Beyond), whose
rounds grow with the logarithm of the nodes.
"""

import logging
from contextlib import ExitStack

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from prox_spark.tables.cache import cached

_log = logging.getLogger(__name__)


def components(edges: DataFrame, stack: ExitStack) -> DataFrame:
    """``node`` and ``root`` of every node that is not its component's smallest, which is its ``root``.

    ``edges`` has two columns of strings, ``node`` and ``other``; no edge leads from a node to itself. The rows are kept on
    the executors' disks until ``stack`` is closed.
    """
    edges = stack.enter_context(cached(edges.select("node", "other")))
    before = _sum(edges)
    rounds = 0
    while True:
        # Kept, as the sum and the next round read it.
        stars = stack.enter_context(cached(small_star(large_star(edges))))
        now, rounds = _sum(stars), rounds + 1
        _log.debug("duplicates: round %d of connecting documents, %d edges", rounds, now[0])
        if now == before:
            return stars.select("node", F.col("other").alias("root"))
        edges, before = stars, now


def large_star(edges: DataFrame) -> DataFrame:
    """Connect each node's larger neighbours with the smallest of the node and its neighbours."""
    both = F.array(_edge(F.col("node"), F.col("other")), _edge(F.col("other"), F.col("node")))
    around = _with_smallest(edges.select(F.inline(both)))
    return (
        around.where("other > node").select(F.col("other").alias("node"), F.col("smallest").alias("other")).distinct()
    )


def small_star(edges: DataFrame) -> DataFrame:
    """Connect each node and its smaller neighbours with the smallest of these."""
    down = edges.select(F.greatest("node", "other").alias("node"), F.least("node", "other").alias("other"))
    around = _with_smallest(down)
    both = F.array(_edge(F.col("node"), F.col("smallest")), _edge(F.col("other"), F.col("smallest")))
    return around.select(F.inline(both)).where("node != other").distinct()


def _with_smallest(edges: DataFrame) -> DataFrame:
    """The edges with the ``smallest`` of ``node`` and all that it has edges to."""
    smallest = F.least("node", F.min("other").over(Window.partitionBy("node")))
    return edges.withColumn("smallest", smallest)


def _edge(node: Column, other: Column) -> Column:
    return F.struct(node.alias("node"), other.alias("other"))


def _sum(edges: DataFrame) -> tuple[int, int]:
    """How many edges there are, and a checksum: equal for equal sets."""
    row = edges.agg(F.count("*").alias("n"), F.bit_xor(F.xxhash64("node", "other")).alias("sum")).first()
    assert row is not None, "an aggregate without groups has one row"
    return row["n"], row["sum"] or 0
