"""Model folders as people have them, from tiny random models: each builder writes one kind into an empty folder.

``benchmarks/folders.py`` makes the table in ``docs/refiners.md`` of them.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from prox_spark.engines.tiny import build_tiny_model

TEXT = "A page has a menu, some prose, a cookie banner and a footer.\nremove_lines keep_doc drop_doc [doc]\n" * 3
HEAD = "lm_head.weight"

Tensors = dict[str, Any]


def plain(folder: Path) -> None:
    """A whole model, one file."""
    build_tiny_model(folder, [TEXT])


def edit(folder: Path, name: str, **values: Any) -> None:
    """Set keys of a JSON file; null removes one."""
    file = folder / name
    settings = json.loads(file.read_text()) if file.is_file() else {}
    settings |= values
    file.write_text(json.dumps({key: value for key, value in settings.items() if value is not ...}))


def weights(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Write other tensors in the place of the model's."""
    file = folder / "model.safetensors"
    tensors = change(load_file(file))
    file.unlink()
    save_file(tensors, file, metadata={"format": "pt"})


def sharded(folder: Path, *, lost: bool = False, index: bool = True) -> None:
    """Two files and an index, as large models have them."""
    plain(folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    places = {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    if index:
        (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    if lost:
        (folder / "model-00002-of-00002.safetensors").unlink()


def tied(folder: Path) -> None:
    """The head is the embedding, and not in the file."""
    plain(folder)
    edit(folder, "config.json", tie_word_embeddings=True)
    weights(folder, lambda tensors: {name: value for name, value in tensors.items() if name != HEAD})


def half(folder: Path) -> None:
    """float16 weights."""
    plain(folder)
    edit(folder, "config.json", dtype="float16")
    weights(folder, lambda tensors: {name: value.astype(np.float16) for name, value in tensors.items()})


def no_head(folder: Path) -> None:
    """The base model of a causal one."""
    plain(folder)
    weights(folder, lambda tensors: {name: value for name, value in tensors.items() if name != HEAD})


def no_layer(folder: Path) -> None:
    """One layer's feed-forward weights are missing."""
    plain(folder)
    weights(folder, lambda tensors: {name: value for name, value in tensors.items() if "layers.1.mlp" not in name})


def wrapped(folder: Path, prefix: str = "module.") -> None:
    """Names as DataParallel or torch.compile saves them."""
    plain(folder)
    weights(folder, lambda tensors: {f"{prefix}{name}": value for name, value in tensors.items()})


def other_head(folder: Path) -> None:
    """A classifier's head in the place of the causal one, which config.json does not rule out."""
    plain(folder)
    edit(folder, "config.json", tie_word_embeddings=...)

    def change(tensors: Tensors) -> Tensors:
        return {("score.weight" if name == HEAD else name): value for name, value in tensors.items()}

    weights(folder, change)


def other_shapes(folder: Path) -> None:
    """A config.json of another size."""
    plain(folder)
    edit(folder, "config.json", intermediate_size=96)


def pickled(folder: Path) -> None:
    """Pickled weights only."""
    plain(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def adapter(folder: Path) -> None:
    """A LoRA adapter with a config.json, as training scripts leave it."""
    plain(folder)
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    edit(folder, "adapter_config.json", peft_type="LORA", base_model_name_or_path="owner/base")


def adapter_beside(folder: Path) -> None:
    """An adapter in the folder of its base."""
    plain(folder)
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")
    edit(folder, "adapter_config.json", peft_type="LORA", base_model_name_or_path="owner/base")


def gguf(folder: Path) -> None:
    """GGUF weights only."""
    plain(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.Q4_K_M.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")


def quantised(method: str, **more: Any) -> Callable[[Path], None]:
    """Weights that say a method quantised them."""

    def build(folder: Path) -> None:
        plain(folder)
        edit(folder, "config.json", quantization_config={"quant_method": method, **more})

    return build


def consolidated(folder: Path) -> None:
    """Mistral's own files only."""
    plain(folder)
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    edit(folder, "params.json", dim=64)


def consolidated_beside(folder: Path) -> None:
    """Mistral's own file beside the shards of the same model."""
    sharded(folder)
    save_file({"tok_embeddings.weight": np.ones((2, 2), np.float32)}, folder / "consolidated.safetensors")


def single_beside(folder: Path, *, same: bool = False) -> None:
    """One whole file beside an index, of other files or of that one."""
    sharded(folder / "shards")
    plain(folder)
    for file in (folder / "shards").glob("model*"):
        file.rename(folder / file.name)
    shutil.rmtree(folder / "shards")
    if same:
        places = dict.fromkeys(load_file(folder / "model.safetensors"), "model.safetensors")
        edit(folder, "model.safetensors.index.json", weight_map=places)


def own_code(folder: Path) -> None:
    """A model that is code in its folder."""
    plain(folder)
    edit(
        folder,
        "config.json",
        model_type="mine",
        architectures=["MineForCausalLM"],
        auto_map={"AutoConfig": "mine.MineConfig", "AutoModelForCausalLM": "mine.MineForCausalLM"},
    )
    (folder / "mine.py").write_text("raise SystemExit('code of a folder was run')\n")


def known_code(folder: Path) -> None:
    """A model with code in its folder that every engine has by itself."""
    plain(folder)
    edit(folder, "config.json", auto_map={"AutoModelForCausalLM": "mine.MineForCausalLM"})
    (folder / "mine.py").write_text("raise SystemExit('code of a folder was run')\n")


def pointer(folder: Path) -> None:
    """A clone without Git LFS."""
    plain(folder)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1234567\n"
    )


def truncated(folder: Path, share: float = 0.5) -> None:
    """A download that was interrupted."""
    plain(folder)
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[: int(len(whole) * share)])


def damaged(folder: Path) -> None:
    """A header that is no JSON."""
    plain(folder)
    file = folder / "model.safetensors"
    file.unlink()
    file.write_bytes((16).to_bytes(8, "little") + b"{not json at all" + bytes(64))


def renamed(folder: Path) -> None:
    """A single file under another name."""
    plain(folder)
    (folder / "model.safetensors").rename(folder / "weights.safetensors")


def marked(name: str) -> Callable[[Path], None]:
    """A settings file that begins with a byte order mark."""

    def build(folder: Path) -> None:
        plain(folder)
        (folder / name).write_text((folder / name).read_text(), encoding="utf-8-sig")

    return build


def broken(name: str) -> Callable[[Path], None]:
    """A settings file that is no JSON."""

    def build(folder: Path) -> None:
        plain(folder)
        (folder / name).write_text('{"bos_token": ')

    return build


def short_context(folder: Path) -> None:
    """A context of 256 tokens under GPT-2's name for it, and no refiner.json."""
    from transformers import GPT2Config, GPT2LMHeadModel

    plain(folder)
    (folder / "refiner.json").unlink()
    size = len(json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"])
    config = GPT2Config(
        vocab_size=size, n_positions=256, n_embd=32, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1
    )
    GPT2LMHeadModel(config).save_pretrained(folder)


def sampling(folder: Path) -> None:
    """A generation_config.json that asks for anything but greedy decoding."""
    plain(folder)
    edit(
        folder,
        "generation_config.json",
        do_sample=True,
        temperature=1.7,
        num_beams=3,
        repetition_penalty=1.8,
        no_repeat_ngram_size=1,
        suppress_tokens=[5, 6, 7],
        forced_eos_token_id=1,
    )


RUNS, PASSES, PLAN, START = "runs", "passes the checks", "refused when planned", "refused at start"

KINDS: Mapping[str, tuple[Callable[[Path], None], str, str]] = {
    "one file": (plain, RUNS, PASSES),
    "shards with an index": (sharded, RUNS, PASSES),
    "shards without an index": (lambda folder: sharded(folder, index=False), PLAN, PASSES),
    "head tied to the embedding": (tied, RUNS, PASSES),
    "float16": (half, RUNS, PASSES),
    "`generation_config.json` with sampling, beams, penalties": (sampling, RUNS, PASSES),
    "context of 256 tokens (`n_positions`), no `refiner.json`": (short_context, PLAN, PLAN),
    "`auto_map`, but the engine has the architecture": (known_code, RUNS, PASSES),
    "consolidated file beside shards": (consolidated_beside, RUNS, PASSES),
    "`model.safetensors` beside an index of other files": (single_beside, RUNS, PLAN),
    "`model.safetensors` with an index of it": (lambda folder: single_beside(folder, same=True), RUNS, PASSES),
    "head missing": (no_head, PLAN, PLAN),
    "layer missing": (no_layer, START, START),
    "tensor names begin with `module.`": (wrapped, PLAN, PLAN),
    "head of a classifier": (other_head, START, START),
    "shapes of another size": (other_shapes, START, START),
    "shard missing": (lambda folder: sharded(folder, lost=True), PLAN, PLAN),
    "pickled weights": (pickled, PLAN, PLAN),
    "adapter (LoRA) without its base": (adapter, PLAN, PLAN),
    "adapter (LoRA) beside its base": (adapter_beside, PLAN, PLAN),
    "GGUF": (gguf, PLAN, PLAN),
    "GPTQ": (quantised("gptq", bits=4, group_size=32), PLAN, PASSES),
    "bitsandbytes": (quantised("bitsandbytes", load_in_4bit=True), PLAN, PLAN),
    "consolidated file only": (consolidated, PLAN, PLAN),
    "`auto_map`, the architecture is only there": (own_code, PLAN, PLAN),
    "Git LFS placeholder": (pointer, PLAN, PLAN),
    "truncated file": (truncated, PLAN, PLAN),
    "single file under another name": (renamed, PLAN, PASSES),
    "byte order mark in `config.json`": (marked("config.json"), PLAN, PLAN),
    "broken `tokenizer_config.json`": (broken("tokenizer_config.json"), PLAN, PLAN),
}
"""Each kind: what builds it, and its outcome with ``transformers`` and, before it is started, with ``vllm``."""
