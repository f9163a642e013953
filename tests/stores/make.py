"""Write the store that tests of later packages open: ``python tests/stores/make.py FILE.tar.gz``, by today's package.

Run once for each store number, before a change raises it; the file is ``tests/stores/NUMBER.tar.gz``. Everything in it is made up
here. It holds two refinements: ``first`` by rules (two versions, a line of quarantine, a pinned version, a forgotten page) and
``scored`` by scripted answers (line scores, a failed chunk).
"""

import gzip
import json
import shutil
import socket
import sys
import tarfile
from pathlib import Path

WORK = Path("/tmp/prox-spark-store")
"""Where the store is made: `files` and `refinements` hold this path, the same on any machine."""

PROSE = "This is a long and quiet sentence about the tides of a northern bay in winter."


def pages(first: int, count: int) -> list[dict[str, object]]:
    """Pages with a menu, prose and a footer; every fourth is only a menu."""
    found: list[dict[str, object]] = []
    for number in range(first, first + count):
        prose = [] if number % 4 == 3 else [f"{PROSE} Page {number}, line {line}." for line in range(8)]
        text = "\n".join(["Home | About | Contact", *prose, "Privacy policy", f"© 2026 site {number}"])
        found.append({"text": text, "url": f"https://site{number}.example/page", "timestamp": "2026-01-01T00:00:00Z"})
    return found


def write(name: str, records: list[object]) -> None:
    """A file of the corpus, the same bytes each time."""
    folder = WORK / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / name).write_bytes(gzip.compress(text.encode(), mtime=0))


def main(archive: Path) -> int:
    """Make the store and pack its tables and their logs, without Hadoop's checksum files, into ``archive``."""
    from prox_spark import processes
    from prox_spark.cli import main as run

    # Leases name the process that held them.
    processes._boot, processes._namespace = lambda: "boot", lambda: "1"
    socket.gethostname = lambda: "maker"

    shutil.rmtree(WORK, ignore_errors=True)
    store = f"store={WORK / 'store'}"
    corpus = [f"input.path={WORK}/corpus/*.json.gz", "input.format=c4"]
    first = [store, *corpus, "refinement=first", "document.engine.kind=rules", "chunk.engine.kind=rules"]
    answers = json.dumps({"Page 0,": [0.1, *[0.9] * 8, 0.2, 0.3], "Page 1,": [0.05, *[0.8] * 8, 0.1, 0.9]})
    scored = [
        *(store, *corpus, "refinement=scored", "document.engine.kind=scripted", "document.engine.default=keep_doc()"),
        *("chunk.engine.kind=scripted", f"chunk.engine.answers={answers}", "chunk.engine.error_on=Page 2,"),
    ]
    at = ["--store", str(WORK / "store")]
    write("a.json.gz", [*pages(0, 6), {"url": "https://broken.example/no-text"}])
    verbs = [("refine", *first), ("refine", *scored)]
    for verb, *arguments in verbs:
        assert run([verb, *arguments]) == 0, verb
    write("b.json.gz", [*pages(6, 3)])
    assert run(["refine", *first]) == 0
    assert run(["forget", "--where", "url = 'https://site7.example/page'", *at]) == 0
    assert run(["pin", "first", *at]) == 0
    with tarfile.open(archive, "w:gz") as packed:
        for file in sorted((WORK / "store").rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                packed.add(file, file.relative_to(WORK / "store"), filter=_anonymous)
    return 0


def _anonymous(file: tarfile.TarInfo) -> tarfile.TarInfo:
    file.uname = file.gname = ""
    file.uid = file.gid = 0
    return file


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).absolute()))
