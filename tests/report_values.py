"""Values of a report without a store: two versions, and documents whose text attacks the page."""

import random
from typing import Any

from prox_spark.costs.compute import Stage
from prox_spark.reporting.documents import IN_REPORT, Found, ReportDocument, document
from prox_spark.reporting.figures import BINS, Drop, Facts, Operation, Scores, Source, VersionFacts
from prox_spark.schemas import COUNTS

HOSTILE = (
    "<script>window.hacked = 1; alert(1)</script>",
    "</script><script>window.hacked = 2</script><!--",
    "<img src=x onerror='window.hacked = 3'><svg onload=window.hacked=4>",
    '"><iframe srcdoc="<script>parent.hacked = 5</script>"></iframe>',
    "<a href=javascript:window.hacked=6 autofocus onfocus=window.hacked=7>click</a>",
    "<style>body{display:none}</style><link rel=stylesheet href=http://127.0.0.1:9/x.css>",
    "{{ 7 * 7 }} {% raw %} ${window.hacked=8} &lt;b&gt; &#x3c;script&#x3e;",
    "</td></table></div></main></body></html><plaintext>",
    "\x00 nul \x1b[31m red \x07 bell \ud800 half \udfff",
    "\u202eright to left\u202c \u2066isolate\u2069 \u2028line\u2029paragraph",
    "<!--<script>",
    "]]>",
    "__proto__",
    "constructor",
    "-->",
)

TO = {"drop_line_below": 0.5, "drop_document_below": 0.5, "min_confidence": 0.0}
FROM = {**TO, "drop_line_below": 0.35}

WORDS = (
    "the",
    "tide",
    "came",
    "in",
    "slow",
    "over",
    "flats",
    "and",
    "nobody",
    "on",
    "shore",
    "had",
    "yet",
    "seen",
    "far",
)


def version(refinement: str = "careful", execution: dict[str, Any] | None = None, **changed: Any) -> VersionFacts:
    """A version with some of everything."""
    draw = random.Random(refinement)
    counts = dict.fromkeys(COUNTS, 0) | {
        "documents": 23000, "refined": 16210, "dropped_documents": 6702, "quarantined": 88, "lines": 902114,
        "lines_removed": 212004, "lines_rewritten": 4410, "characters": 61020331, "characters_kept": 40233001,
        "chunks": 20114, "failed_chunks": 3, "prompt_tokens": 20330114, "output_tokens": 0,
    }  # fmt: skip
    scores = Scores(
        tuple(int(4000 * abs(edge / BINS - 0.5) ** 3 * draw.uniform(0.8, 1.2)) for edge in range(BINS)),
        tuple(int(9000 * (abs(edge / BINS - 0.45) ** 3 + 0.002)) for edge in range(BINS)),
        (0,) * BINS,
    )
    values = {
        "refinement": refinement,
        "version": 0,
        "created_at": "2026-11-26 01:30 UTC",
        "package_version": "0.1.0",
        "counts": counts,
        "execution": execution or TO,
        "refiners": {"document": "rules (2f40c1aa)", "chunk": "vllm web-lines-2 (90aa31cd)"},
        "sources": (
            Source("c4", 11000, 30020331, 21000000),
            Source("dclm", 9000, 20000000, 13100000),
            Source("fineweb", 2000, 10000000, 9100000),
            Source("$\\frac{1}</svg><script>window.hacked=9</script>", 900, 900000, 100000),
            Source("all other sources", 100, 100000, 33000),
        ),
        "operations": (Operation("remove_lines", 212004, 9120331), Operation("normalize", 4410, 88123)),
        "drops": (Drop("document", "keep_score", 6000, 9000000), Drop("chunk", "removed_share", 702, 110220)),
        "scores": scores,
        "stages": (Stage("document", "rules", 0, 0, 0), Stage("chunk", "web-lines-2", 2_700_000, 20_330_114, 0)),
    }
    return VersionFacts(**(values | changed))


def facts(*versions: VersionFacts) -> Facts:
    """Facts of these versions, or of one."""
    differ = (("execution.drop_line_below", "0.35", "0.5"),) if len(versions) > 1 else ()
    return Facts("/data/stores/web", versions or (version(),), differ)


def two() -> Facts:
    """Facts of two versions that differ in a threshold."""
    return facts(version("web-lines", FROM), version("careful", TO))


def row(text: str, doc_id: str = "a", source: str | None = "c4", url: str | None = None) -> dict[str, Any]:
    """A row of ``documents`` as the sample reads it."""
    return {
        "doc_id": doc_id,
        "source": source,
        "url": url,
        "head": text[: IN_REPORT.characters],
        "n_characters": len(text),
        "n_lines": text.count("\n") + 1,
    }


def kept(removed: int = 0, rewritten: int = 0, text_hash: int = 1) -> dict[str, Any]:
    """A row of ``refined``."""
    return {"n_lines_removed": removed, "n_lines_rewritten": rewritten, "guard": None, "text_hash": text_hash}


def line(
    number: int, operation: str = "remove_lines", score: float | None = None, to: str | None = None
) -> dict[str, Any]:
    """A row of ``dropped_lines``."""
    return {"line_number": number, "operation": operation, "score": score, "replacement": to}


def call(operation: str, start: int | None = None, end: int | None = None, **more: Any) -> dict[str, Any]:
    """A stored call."""
    return {"operation": operation, "line_start": start, "line_end": end, "outcome": "ok"} | more


def program(
    *calls: dict[str, Any], start: int = 0, end: int = 10_000, scores: list[float] | None = None
) -> dict[str, Any]:
    """A row of ``programs`` of the chunk stage."""
    own = {"stage": "chunk", "line_start": start, "line_end": end, "keep_score": None}
    return own | {"calls": list(calls), "line_scores": scores}


def found(log: list[dict[str, Any]], *programs: dict[str, Any], text_hash: int = 1) -> Found:
    """A kept document and what went from it."""
    rewritten = sum(entry["replacement"] is not None for entry in log)
    refined = kept(len(log) - rewritten, rewritten, text_hash)
    return Found(refined, None, None, log, sorted({entry["operation"] for entry in log}), programs)


DROPPED = Found(dropped={"stage": "document", "reason": "keep_score", "keep_score": 0.12})


def hostile(versions: int = 1) -> list[ReportDocument]:
    """Documents whose ids, sources, URLs, lines, replacements and calls all attack."""
    text = "\n".join(HOSTILE)
    documents = []
    for number, attack in enumerate(HOSTILE):
        log = [line(n, score=0.9) for n in range(0, len(HOSTILE), 2)]
        log += [line(n, "normalize", to=f"{HOSTILE[n]}{attack}") for n in range(1, len(HOSTILE), 2)]
        calls = [call("remove_lines", 0, 99), call("normalize", source=attack, target=attack)]
        one = found(log, program(*calls, call(attack, outcome="unknown")))
        documents.append(
            document(row(text, f"{number} {attack}", attack, f"javascript:{attack}"), [one] * versions, [TO] * versions)
        )
    documents.append(document(row("x" * 10_000_000, "long line"), [found([])] * versions, [TO] * versions))
    return documents


def pages(many: int, size: int = 8000, versions: int = 2, seed: int = 0) -> list[ReportDocument]:
    """Made-up web pages of about ``size`` characters with boilerplate, scored by line."""
    draw = random.Random(seed)
    made = []
    for number in range(many):
        lines = ["Home | About | Contact | Log in", "Share this: Facebook, Twitter, Email", ""]
        while sum(map(len, lines)) < size:
            lines.append(" ".join(draw.choices(WORDS, k=draw.randint(5, 70))).capitalize() + ".")
            if draw.random() < 0.2:
                lines.append(draw.choice(["Read more", "Advertisement", "Related posts", "3 comments", ""]))
        lines += ["© 2026 All rights reserved", "Privacy policy"]
        scores = [draw.uniform(0.55, 1.0) if len(one) > 60 else draw.uniform(0.02, 0.6) for one in lines]
        outcomes = []
        for threshold in (0.35, 0.5)[-versions:]:
            log = [line(n, score=scores[n]) for n in range(len(lines)) if scores[n] < threshold]
            edited = next(n for n in range(3, len(lines)) if scores[n] >= 0.5 and lines[n])
            log.append(line(edited, "normalize", 0.93, lines[edited].replace("the ", "a ", 2).replace(" in", "")))
            stored = program(call("normalize", source="the ", target="a ", confidence=0.93), scores=scores)
            outcomes.append(found(log, stored, text_hash=len(log)))
        if number % 5 == 4:
            outcomes[-1] = DROPPED
        source = draw.choice(["c4", "dclm", "fineweb"])
        about = row("\n".join(lines), f"page-{number:04}", source, f"https://www.example.org/{source}/{number}.html")
        made.append(document(about, outcomes, [FROM, TO][-versions:]))
    return made
