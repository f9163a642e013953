"""Comparing two refinement versions against reading the text of both versions once.

``ratio`` is the time of ``compare``, with all its output, divided by that of one pass over the column ``text`` of
``refined`` in both versions (its length summed up), in one session, the best of ``--runs``. The second version removes fewer
lines in a ``--changed`` share of the documents (default 0.3) and drops every hundredth document.
"""

import tempfile
from pathlib import Path
from typing import Any

from execute_job import fill
from pyspark.sql import functions as F
from timing import arguments, report, seconds

from prox_spark import compare, execute, load_config
from prox_spark.generation.plan import plan_stages
from prox_spark.session import get_session
from prox_spark.tables.store import create_store
from prox_spark.versions.names import open_version


def config_for(folder: Path, refinement: str) -> Any:
    """A different answer of the scripted engine makes a different refiner."""
    engine = ["document=null", "chunk.engine.kind=scripted", f"chunk.engine.answers={{'{refinement}': ''}}"]
    return load_config(None, [f"store={folder / 'store'}", f"refinement={refinement}", *engine])


def less(spark: Any, store: Any, refiner: str, other: str, changed: float) -> None:
    """The second refiner's programs: those of the first, without the first call in some documents."""
    number = F.substring_index("doc_id", "-", -1).cast("long")
    first_call = F.regexp_replace("output", r"^[^\n]*\n", "")
    output = (
        F.when(number % 100 == 99, F.lit("drop_doc()"))
        .when(number % 1000 < round(changed * 1000), first_call)
        .otherwise(F.col("output"))
    )
    rows = store.read("programs").where(F.col("refiner") == refiner)
    rows = rows.withColumn("output", output).withColumn("refiner", F.lit(other))
    rows.write.format("delta").mode("append").save(f"{store.location}/programs")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--characters", type=int, default=8000, help="of a document; 8 kB is a web page's text")
    parser.add_argument("--changed", type=float, default=0.3, help="share of documents with another log")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    spark = get_session()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        one, other = config_for(folder, "one"), config_for(folder, "other")
        refiners = [chosen.fingerprint for chosen in (plan_stages(one).chunk, plan_stages(other).chunk) if chosen]
        store = create_store(spark, one.store)
        fill(spark, store, options.documents, refiners[0], options.characters)
        less(spark, store, *refiners, options.changed)
        execute(spark, one)
        execute(spark, other)
        found: dict[str, Any] = {}

        def read() -> None:
            for name in ("one", "other"):
                open_version(store, name).read("refined").agg(F.sum(F.length("text"))).collect()

        def job() -> None:
            found.update(compare(spark, one.store, "one", "other").summary())

        read(), job()
        times: dict[str, list[float]] = {"read": [], "compare": []}
        for _ in range(options.runs):
            times["read"].append(seconds(read))
            times["compare"].append(seconds(job))
    figures = {
        "ratio": min(times["compare"]) / min(times["read"]),
        "documents": options.documents,
        "characters": options.characters,
        "compare_seconds": times["compare"],
        "read_seconds": times["read"],
        "changes": found["documents"],
        "lines": found["lines"]["by_change"],
    }
    report({"benchmark": "compare", **figures}, options.output)


if __name__ == "__main__":
    main()
