"""BOS, EOS and prompts are what transformers gives for the same folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prox_spark.engines.tiny import build_tiny_model
from prox_spark.generation.model_refiner import folder_digests
from prox_spark.generation.prompts import Prompter
from prox_spark.generation.refiner import Refiner, Stage
from prox_spark.generation.templates import template
from prox_spark.generation.tokens import PromptTokenizer

TEXT = "[doc]\n[000]a page has a menu [INST] <<SYS>>\n[/doc] some prose, a house by the sea\nYou are a helpful assistant.\n"
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 2048}


def write(folder: Path, name: str, settings: dict[str, Any], encoding: str = "utf-8") -> None:
    (folder / name).write_text(json.dumps(settings), encoding=encoding)


@pytest.fixture(scope="session")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model like Llama 2's, of two hundred entries beside the bytes."""
    import sentencepiece as spm

    folder = tmp_path_factory.mktemp("sentencepiece")
    (folder / "text").write_text(TEXT * 50)
    spm.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / "m"),
        vocab_size=340,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    return folder / "m.model"


def slow(sentencepiece: Path, folder: Path, **settings: Any) -> Path:
    """A folder with ``tokenizer.model`` alone."""
    shutil.copy(sentencepiece, folder / "tokenizer.model")
    write(folder, "config.json", CONFIG)
    write(folder, "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>", **settings})
    return folder


def fast(tiny_model: Path, folder: Path, config: dict[str, Any] | None, special: dict[str, Any] | None = None) -> Path:
    """A folder with ``tokenizer.json``, and these settings where they are given."""
    shutil.copy(tiny_model / "tokenizer.json", folder)
    write(folder, "config.json", CONFIG)
    for name, settings in (("tokenizer_config.json", config), ("special_tokens_map.json", special)):
        if settings is not None:
            write(folder, name, settings)
    return folder


def by_transformers(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
LLAMA = {"tokenizer_class": "LlamaTokenizerFast"}
ADDED = {"0": {"content": "<s>", "special": True}, "1": {"content": "</s>", "special": True}}
NAMED = {
    "in tokenizer_config.json": ({**FAST, "bos_token": "<s>", "eos_token": "</s>"}, None),
    "as an object": ({**FAST, "bos_token": {"__type": "AddedToken", "content": "<s>"}, "eos_token": "</s>"}, None),
    "in special_tokens_map.json": (FAST, {"bos_token": "<s>", "eos_token": "</s>"}),
    "in special_tokens_map.json as an object": (
        FAST,
        {"bos_token": {"content": "<s>", "lstrip": False, "rstrip": False}},
    ),
    "in both, differently": ({**FAST, "bos_token": "</s>"}, {"bos_token": "<s>"}),
    "in both, with added tokens": ({**FAST, "bos_token": "<s>", "added_tokens_decoder": ADDED}, {"bos_token": "</s>"}),
    "nowhere": (FAST, None),
    "null": ({**FAST, "bos_token": None, "eos_token": None}, None),
    "empty": ({**FAST, "bos_token": ""}, None),
    "by its class": (LLAMA, None),
    "by its class, null": ({**LLAMA, "bos_token": None}, None),
    "by its class, empty": ({**LLAMA, "bos_token": ""}, None),
    "by the type of the model": (None, None),
}


@pytest.mark.parametrize("kind", NAMED)
def test_special_tokens_are_those_of_transformers(kind: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = fast(tiny_model, tmp_path, *NAMED[kind])
    theirs, ours = by_transformers(folder), PromptTokenizer(folder)
    # An empty name is the unknown token to transformers, and no BOS to anybody.
    assert (ours.begin.value if ours.begin else None) == (theirs.bos_token_id if theirs.bos_token else None)
    assert [stop.value for stop in ours.stops] == ([] if theirs.eos_token_id is None else [theirs.eos_token_id])


@pytest.mark.parametrize("named", [{}, {"bos_token": None}, {"bos_token": ""}], ids=["absent", "null", "empty"])
@pytest.mark.parametrize("settings", [FAST, LLAMA], ids=["generic", "Llama"])
def test_a_text_begins_as_with_transformers(named: Any, settings: Any, shared: Path, tmp_path: Path) -> None:
    fast(shared / "tokenizers/llama-2", tmp_path, {**settings, **named})
    begin = PromptTokenizer(tmp_path).begin
    assert begin is not None
    assert begin.value == by_transformers(tmp_path)("a page").input_ids[0] == 1


def test_each_special_token_says_where_it_comes_from(tiny_model: Path, tmp_path: Path) -> None:
    folder = fast(tiny_model, tmp_path, FAST, {"bos_token": "<s>"})
    write(folder, "config.json", {**CONFIG, "eos_token_id": [1, 9_999]})
    write(folder, "generation_config.json", {"eos_token_id": 7})
    ours = PromptTokenizer(folder)
    assert str(ours.begin) == "0 (special_tokens_map.json)"
    assert [str(stop) for stop in ours.stops] == ["7 (generation_config.json)", "1 (config.json)"]


def test_a_token_that_only_the_post_processor_knows_begins_a_prompt(tiny_model: Path, tmp_path: Path) -> None:
    from tokenizers import Tokenizer, processors

    folder = fast(tiny_model, tmp_path, {**FAST, "bos_token": None})
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for pattern, expected in (("<s> $A", 0), ("<s> $A </s>", None), ("$A </s>", None)):
        tokenizer.post_processor = processors.TemplateProcessing(pattern, special_tokens=[("<s>", 0), ("</s>", 1)])
        tokenizer.save(str(folder / "tokenizer.json"))
        begin = PromptTokenizer(folder).begin
        assert (begin.value if begin else None) == expected


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"])
def test_a_byte_order_mark_changes_nothing(name: str, tiny_model: Path, tmp_path: Path) -> None:
    folder = fast(tiny_model, tmp_path, {**FAST, "bos_token": "<s>"}, {"eos_token": "</s>"})
    before = PromptTokenizer(folder)
    (folder / name).write_text((folder / name).read_text(encoding="utf-8"), encoding="utf-8-sig")
    after = PromptTokenizer(folder)
    assert after.begin == before.begin
    assert after.prefix("[doc]\n", begin=True) == before.prefix("[doc]\n", begin=True)


def test_an_end_token_is_no_text_even_where_it_is_not_special(tiny_model: Path, tmp_path: Path) -> None:
    folder = fast(tiny_model, tmp_path, FAST)
    for word in (" page", " menu"):
        (end,) = PromptTokenizer(folder).pieces([word])[0].tolist()
        write(folder, "generation_config.json", {"eos_token_id": end})
        ours = PromptTokenizer(folder)
        body = ours.pieces(["a page has a menu"])[0].tolist()
        assert ours.decode([*body, end]) == "a page has a menu"
        ends = ours.ends([*body, end])
        assert ends is not None
        assert len(ends) == len(body) + 1
        assert ends[-2:] == [17, 17]


def prompt(folder: Path, name: str, stage: Stage, page: str) -> list[int]:
    tokenizer = PromptTokenizer(folder)
    refiner = Refiner(stage, "r", "model", (), template=name, window=1000, context=2048, max_tokens=9)
    prompter = Prompter(refiner, tokenizer)
    (asked,) = prompter.ask([page])
    return prompter.prompt(asked, 0).tolist()


CHAT = "{{ bos_token }}[INST] <<SYS>>\n{{ messages[0]['content'] }}\n<</SYS>>\n\n{{ messages[1]['content'] }} [/INST]"
SYSTEM = "You are a helpful, respectful and honest assistant."
FOLDERS: dict[str, Callable[[Path, Path, Path], Path]] = {
    "SentencePiece, legacy false": lambda tiny, pieces, folder: slow(pieces, folder, legacy=False, bos_token="<s>"),
    "SentencePiece, legacy": lambda tiny, pieces, folder: slow(pieces, folder, legacy=True, bos_token="<s>"),
    "SentencePiece, nothing said": lambda tiny, pieces, folder: slow(pieces, folder),
    "byte-level": lambda tiny, pieces, folder: fast(tiny, folder, {**FAST, "bos_token": "<s>"}),
}


@pytest.mark.parametrize("kind", FOLDERS)
@pytest.mark.parametrize("page", ["a page has a menu\nsome prose", " house\n\n  the sea", "[000] a </s> page"])
def test_a_prompt_is_what_apply_chat_template_gives(
    kind: str, page: str, tiny_model: Path, sentencepiece: Path, tmp_path: Path
) -> None:
    folder = FOLDERS[kind](tiny_model, sentencepiece, tmp_path)
    theirs = by_transformers(folder)
    lines = "".join(f"[{number:03d}]{line}\n" for number, line in enumerate(page.split("\n")))
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"[doc]\n{lines}[/doc]"}]
    expected = theirs.apply_chat_template(messages, chat_template=CHAT, tokenize=True, return_dict=False)
    found = prompt(folder, "prox-llama2/1", "chunk", page)
    if "</s>" not in page:
        assert found == expected
    # A page's control tokens are text, which theirs are not.
    assert theirs.decode(found[1:]).count("</s>") == page.count("</s>")
    assert found.count(2 if "Sentence" in kind else 1) == 0


def test_a_slow_folder_has_the_authors_second_token(sentencepiece: Path, tmp_path: Path) -> None:
    theirs = by_transformers(slow(sentencepiece, tmp_path, legacy=False, bos_token="<s>", add_bos_token=True))
    for name in ("prox-plain/1", "prox-llama2/1"):
        found = prompt(tmp_path, name, "chunk", "a page")
        assert theirs.convert_ids_to_tokens(found[:2]) == ["<s>", "["]
    form = template("prox-plain/1").chunk
    written = f"<s>{form.prefix}[000]a page\n{form.suffix}"
    assert prompt(tmp_path, "prox-plain/1", "chunk", "a page") == theirs(written, add_special_tokens=False).input_ids


def test_a_folder_with_a_list_of_words_alone_is_read_as_transformers_reads_it(tmp_path: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "page", "has", "men", "##u", "##s", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    write(tmp_path, "config.json", {"model_type": "bert"})
    write(tmp_path, "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    [found] = PromptTokenizer(tmp_path).pieces(["A page has menus."])
    assert list(found) == by_transformers(tmp_path)("A page has menus.", add_special_tokens=False)["input_ids"]
    assert list(found) == [words.index(word) for word in ("a", "page", "has", "men", "##u", "##s", ".")]
    before = folder_digests(tmp_path, weights=False)
    (tmp_path / "vocab.txt").write_text("\n".join([*words, "more"]))
    assert folder_digests(tmp_path, weights=False) != before


@pytest.fixture(scope="session")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer with entries of thousands of dashes or blanks."""
    return build_tiny_model(tmp_path_factory.mktemp("ruled"), [TEXT, "-" * 8192, " " * 8192])


@pytest.mark.parametrize("filler", ["-" * 17_000, "-" * 70_000, "a" + " " * 40_000])
def test_a_document_is_cut_at_its_tokens_and_not_at_its_characters(filler: str, ruled: Path) -> None:
    page = f"{filler}\nprose of the page"
    tokenizer = PromptTokenizer(ruled)
    whole = tokenizer.pieces([page])[0].tolist()
    assert len(whole) < 1000 < len(page) // 8
    form = template("prox-plain/1").document
    found = prompt(ruled, "prox-plain/1", "document", page)
    assert tokenizer.decode(found) == f"{form.prefix}{page}{form.suffix}"


def test_a_long_document_is_cut_where_its_window_ends(ruled: Path) -> None:
    for page in ("some prose " * 9_000, f"{'-' * 30_000} {'a house by the sea, ' * 2_000}"):
        tokenizer = PromptTokenizer(ruled)
        whole = tokenizer.pieces([page.strip()])[0].tolist()
        found = prompt(ruled, "lines/1", "document", page)
        assert found[1:1001] == whole[:1000]
        assert len(found) == 1001 + len(tokenizer.suffix(template("lines/1").document.suffix))
