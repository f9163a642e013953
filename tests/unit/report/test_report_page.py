"""The page is one file that loads nothing, and page text is never markup in it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import report_values as values

pytest.importorskip("matplotlib", reason="the extra `report` is not installed")

from prox_spark.config.shapes import PAPER_SIZES
from prox_spark.costs.compute import Stage, llama_parameters
from prox_spark.errors import UsageError
from prox_spark.reporting.components import data_block
from prox_spark.reporting.facts import read_models
from prox_spark.reporting.figures import BINS, Facts, Scores
from prox_spark.reporting.page import page_data, render, write
from prox_spark.reporting.pictures import pictures
from prox_spark.schemas import COUNTS


class Elements(HTMLParser):
    """Every element with its attributes, and the text inside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, str]] = []
        self.kind = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.kind = (dict(attrs).get("type") or tag) if tag in ("script", "style") else ""

    def handle_endtag(self, tag: str) -> None:
        self.kind = ""

    def handle_data(self, data: str) -> None:
        if self.kind:
            self.inside.append((self.kind, data))


def page(facts: Facts | None = None, documents: Any = None) -> str:
    facts = facts or values.two()
    return render(facts, pictures(facts), values.hostile(2) if documents is None else documents, seed=0)


@pytest.fixture(scope="module")
def hostile() -> Elements:
    return Elements(page())


def test_the_page_holds_its_own_elements_and_no_others(hostile: Elements) -> None:
    tags = {tag for tag, _ in hostile.found}
    assert not tags & {"iframe", "img", "link", "object", "embed", "base", "plaintext", "foreignobject"}
    assert [tag for tag, _ in hostile.found].count("script") == 2
    assert [attributes["href"] for tag, attributes in hostile.found if tag == "a"] == ["#documents"]
    harmless = Elements(page(documents=values.pages(3)))
    assert sorted(tag for tag, _ in hostile.found) == sorted(tag for tag, _ in harmless.found)


def test_nothing_is_loaded_and_no_attribute_runs(hostile: Elements) -> None:
    for tag, attributes in hostile.found:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            assert name not in ("style", "src", "srcset", "action"), (tag, name)
            assert name != "href" or (value or "").startswith("#"), (tag, value)
            assert "url(" not in (value or "").replace("url(#", ""), (tag, value)
    outside = re.compile(
        r"(?:https?:)?//|@import|url\(|fetch|XMLHttp|innerHTML|outerHTML|insertAdjacent|eval|document\.write"
    )
    for kind, text in hostile.inside:
        if kind in ("script", "style"):
            without_comments = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
            assert not outside.search(without_comments), outside.search(without_comments)


def test_the_policy_allows_the_inlined_style_and_script_alone(hostile: Elements) -> None:
    (policy,) = (a["content"] for tag, a in hostile.found if tag == "meta" and "http-equiv" in a)
    texts = {kind: "".join(text for k, text in hostile.inside if k == kind) for kind in ("script", "style")}
    for kind, text in texts.items():
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in (policy or "")
    assert (policy or "").startswith("default-src 'none'; ")
    assert "unsafe" not in (policy or "")


def test_the_data_survives_its_escaping() -> None:
    documents = values.hostile(2)
    block = data_block(page_data(values.two(), documents))
    assert not set(block) & set("<>&\u2028\u2029")
    shown = json.loads(block)["documents"]
    assert [one["id"] for one in shown] == [document.doc_id for document in documents]
    assert shown[0]["lines"] == [line.text for line in documents[0].lines]
    block.encode("utf-8")


def test_every_picture_is_well_formed_and_has_a_name_and_numbers() -> None:
    drawn = pictures(values.two())
    assert [picture.title for picture in drawn] == [
        "Kept share by source",
        "Operations",
        "Document scores",
        "Line scores",
        "Threshold sweep",
        "Break-even of refining",
    ]
    ids = []
    for picture in drawn:
        root = ElementTree.fromstring(picture.svg)
        assert root.attrib["role"] == "img"
        assert root[0].text
        assert all(len(row) == len(picture.columns) for row in picture.rows)
        for element in root.iter():
            assert element.tag.rpartition("}")[2] not in ("style", "metadata", "script", "image", "foreignObject")
            assert "style" not in element.attrib
            ids += [element.attrib["id"]] if "id" in element.attrib else []
            # Colours come from the page, in light and dark.
            assert not re.match("#0[1-6]0", element.attrib.get("fill", "") + element.attrib.get("stroke", ""))
    assert len(ids) == len(set(ids))


def test_pictures_are_the_same_each_time_and_leave_matplotlib_as_it_was() -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    assert pictures(values.two()) == pictures(values.two())
    assert dict(rcParams) == before


def test_two_thresholds_over_the_same_scores_share_a_histogram() -> None:
    scores = values.version().scores
    both = values.facts(values.version("a", values.FROM, scores=scores), values.version("b", values.TO, scores=scores))
    (lines,) = (picture for picture in pictures(both) if picture.title == "Line scores")
    assert lines.columns == ("P(keep)", "b:0")
    assert "Dashed: 0.35 in a:0, 0.5 in b:0." in lines.note


def test_the_sweep_says_what_each_threshold_removes() -> None:
    lines = tuple(10 if edge in (5, 40, 60, 99) else 0 for edge in range(BINS))
    facts = values.facts(values.version(scores=Scores((0,) * BINS, lines, (0,) * BINS)))
    (sweep,) = (picture for picture in pictures(facts) if picture.title == "Threshold sweep")
    found = dict(sweep.rows)
    assert (found["0.00"], found["0.05"], found["0.50"], found["1.00"]) == ("0.0%", "0.0%", "50.0%", "100.0%")


def test_the_break_even_is_what_the_paper_s_sizes_train_on_for_as_much() -> None:
    (drawn,) = (picture for picture in pictures(values.facts()) if picture.title == "Break-even of refining")
    assert drawn.rows[1] == ("chunk, careful:0", "web-lines-2", "2,700,000", "20,330,114", "1.1e+14")
    sizes = {name: llama_parameters(**shape) / 1e9 for name, shape in PAPER_SIZES.items()}
    # As the paper's appendix has them, embeddings left out.
    assert sizes == pytest.approx({"xs": 0.27, "s": 0.66, "m": 1.61}, abs=0.02)
    assert f"{2 * 2_700_000 * 20_330_114 / (6 * sizes['s'] * 1e9):,.0f}" in drawn.svg
    elsewhere = values.version("elsewhere", stages=(Stage("chunk", "elsewhere", None, 10, 0),))
    (drawn,) = (one for one in pictures(values.facts(elsewhere, values.version())) if one.title == drawn.title)
    assert "Unknown for elsewhere:0" in drawn.note
    assert "elsewhere:0" not in drawn.svg
    unknown = values.facts(elsewhere)
    assert "Break-even of refining" not in {picture.title for picture in pictures(unknown)}


def test_models_of_an_evaluation_are_drawn(tmp_path: Path) -> None:
    rows = [{"model": name, "tokens": 1000, "training_flops": 6e9, "saved_flops": None} for name in ("raw", "</svg>")]
    compute = {"rows": rows, "points": {"raw": [(1e9, 3.0), (6e9, 2.0)], "</svg>": []}}
    (tmp_path / "evaluation.json").write_text(json.dumps({"compute": compute}))
    facts = replace(values.facts(), models=read_models(tmp_path / "evaluation.json"))
    (drawn,) = (picture for picture in pictures(facts) if picture.title == "Quality by compute")
    assert drawn.rows == (("raw", "1,000", "6e+09", "", "", "", "2.0000"), ("</svg>", "1,000", "6e+09", "", "", "", ""))
    assert [tag for tag, _ in Elements(page(facts)).found].count("svg") == len(pictures(facts))


@pytest.mark.parametrize("written", [None, "no JSON", "{}", '{"compute": {"rows": [], "points": {}}}'])
def test_what_is_no_evaluation_is_refused(tmp_path: Path, written: str | None) -> None:
    file = tmp_path / "evaluation.json"
    if written is not None:
        file.write_text(written)
    with pytest.raises(UsageError, match="evaluation"):
        read_models(file)


def test_an_empty_refinement_has_a_page() -> None:
    empty = Scores((0,) * BINS, (0,) * BINS, (0,) * BINS)
    nothing = values.version(
        counts=dict.fromkeys(COUNTS, 0), sources=(), operations=(), drops=(), scores=empty, refiners={}, stages=()
    )
    written = page(values.facts(nothing), [])
    assert "No pictures" in written
    assert "No document was dropped." in written


def test_names_in_the_facts_are_escaped() -> None:
    attack = "</title></style><script>window.hacked = 1</script>"
    hostile = replace(values.two(), store=attack)
    assert "<script>window" not in page(hostile)


def test_the_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    write("first", file)
    write("second", file)
    assert file.read_text() == "second"
    assert list(tmp_path.iterdir()) == [file]
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write("third", folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "report.html"]
