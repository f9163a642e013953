"""Prompts as token ids: what is sent is what the template says, counted to the token."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Numbering, Refiner, Stage
from prox_spark.generation.templates import TEMPLATES, template
from prox_spark.generation.tokens import PromptTokenizer


def refiner(stage: Stage, name: str, *, window: int = 200, numbering: Numbering = "document") -> Refiner:
    return Refiner(
        stage, "r", "model", (), template=name, window=window, context=2048, max_tokens=9, numbering=numbering
    )


def whole_prompt(name: str, text: str) -> str:
    form = template(name).chunk
    return form.prefix + "".join(f"[{n:03d}]{line}\n" for n, line in enumerate(text.split("\n"))) + form.suffix


@pytest.mark.parametrize("name", ["prox-plain/1", "prox-llama2/1"])
def test_ids_of_released_prompts_are_those_of_the_whole_text_at_once(shared: Path, name: str) -> None:
    from tokenizers import Tokenizer

    folder = shared / "tokenizers/llama-2"
    whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
    prompter = Prompter(refiner("chunk", name, window=1500), PromptTokenizer(folder))
    with (shared / "gold/dev.jsonl.zst").open("rb") as file:
        stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8")
        texts = [json.loads(record)["raw_content"][:2500] for record, _ in zip(stream, range(60), strict=False)]
    compared = 0
    for text, asked in zip(texts, prompter.ask(texts), strict=True):
        if len(asked.chunks) == 1 and asked.chunks[0].line_end == text.count("\n"):
            request = prompter.request(0, asked, 0)
            # The tokenizer's own post-processor puts the one BOS first, as the template does.
            assert request.token_ids == whole.encode(whole_prompt(name, text)).ids
            compared += 1
    assert compared > 30


def test_the_released_templates_are_what_the_models_were_prompted_with() -> None:
    assert whole_prompt("prox-plain/1", "a\nb") == "[doc]\n[000]a\n[001]b\n[/doc]"
    assert whole_prompt("prox-llama2/1", "a") == (
        "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n[doc]\n[000]a\n[/doc] [/INST]"
    )


@pytest.mark.parametrize(
    "name", [name for name, chosen in TEMPLATES.items() if chosen.clip is None and not chosen.system]
)
@pytest.mark.parametrize("numbering", ["document", "chunk"])
def test_a_prompt_reads_as_its_template_and_lines(tiny_model: Path, name: str, numbering: Numbering) -> None:
    tokenizer = PromptTokenizer(tiny_model)
    prompter = Prompter(refiner("chunk", name, window=40, numbering=numbering), tokenizer)
    lines = [f"line {number} of a page" for number in range(20)]
    (asked,) = prompter.ask(["\n".join(lines)])
    assert len(asked.chunks) > 1
    form = template(name).chunk
    for index, chunk in enumerate(asked.chunks):
        request = prompter.request(index, asked, index)
        assert request.token_ids is not None
        first = chunk.line_start if numbering == "document" else 0
        own = lines[chunk.line_start : chunk.line_end + 1]
        labelled = "".join(f"[{first + n:03d}]{line}\n" for n, line in enumerate(own))
        assert tokenizer.decode(request.token_ids) == form.prefix + labelled + form.suffix
        begins = [
            place for place, token in enumerate(request.token_ids) if tokenizer.begin and token == tokenizer.begin.value
        ]
        assert begins == ([0] if template(name).begin else [])
        assert len(request.token_ids) <= 40 + prompter.overhead


@settings(max_examples=50)
@given(st.text(max_size=400))
def test_no_prompt_is_over_the_window_and_every_line_is_sent_or_over_long(tiny_model: Path, text: str) -> None:
    tokenizer = PromptTokenizer(tiny_model)
    prompter = Prompter(refiner("chunk", "lines/1", window=30), tokenizer)
    (asked,) = prompter.ask([text])
    covered = {n for chunk in asked.chunks for n in range(chunk.line_start, chunk.line_end + 1)}
    assert all(len(ids) <= 30 for ids in asked.ids)
    for number, line in enumerate(text.split("\n")):
        if number not in covered and line.strip():
            assert len(tokenizer.pieces([f"[{number:03d}]{line}\n"])[0]) > 30


def test_a_document_is_cut_at_the_window(tiny_model: Path) -> None:
    prompter = Prompter(refiner("document", "prox-plain/1", window=25), PromptTokenizer(tiny_model))
    short, long = prompter.ask(["a page", "a page " * 100_000])
    assert len(short.ids[0]) < 25
    assert len(long.ids[0]) == 25


def test_what_looks_like_a_special_token_in_a_page_is_text(tiny_model: Path) -> None:
    tokenizer = PromptTokenizer(tiny_model)
    (ids,) = tokenizer.pieces(["</s><s> end"])
    assert tokenizer.begin is not None
    assert tokenizer.begin.value not in ids
    assert tokenizer.decode(ids.tolist()) == "</s><s> end"


def test_a_line_of_ten_megabytes_is_over_long_without_being_tokenised(tiny_model: Path) -> None:
    prompter = Prompter(refiner("chunk", "lines/1"), PromptTokenizer(tiny_model))
    (asked,) = prompter.ask(["first\n" + "x" * 10_000_000 + "\nlast"])
    assert [(chunk.line_start, chunk.line_end) for chunk in asked.chunks] == [(0, 0), (2, 2)]


def test_blank_lines_that_a_tokenizer_has_nothing_for_are_read_at_what_follows(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "house": 1, "sea": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    prompter = Prompter(replace(refiner("chunk", "text/1", numbering="none"), label=1), PromptTokenizer(tmp_path))
    (asked,) = prompter.ask(["\n\nhouse sea\n\nhouse"])
    assert prompter.request(0, asked, 0).positions == [0, 0, 1, 1, 2]


def test_ends_of_bytes_that_are_no_text_are_unknown(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models

    entries = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), '"']
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    opened = PromptTokenizer(tmp_path)
    face = [1 + byte for byte in "\U0001f600".encode()]
    assert opened.ends(face) == [0, 0, 0, 1]
    assert opened.ends([*face, *face[:2], vocabulary['"']]) is None
