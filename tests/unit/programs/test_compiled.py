"""Compiled code is kept by what it was made from: never stale, shared by processes, and only where nobody else can write."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import prox_spark
from prox_spark.programs.compiled import KEPT, PACKAGES

PACKAGE = Path(prox_spark.__file__).parent
KERNEL = """
from prox_spark.execution.words import SPACELESS_RANGES
from prox_spark.programs.bytes_kernels import count_characters
from prox_spark.programs.compiled import entry

_HIGH = SPACELESS_RANGES[0][1]

@entry
def kernel(data):
    return count_characters(data, 0, data.shape[0]), _HIGH
"""
RUN = """
import numpy as np
from prox_spark.execution.small import kernel
found = kernel(np.zeros(10, np.uint8))
print(*found, sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""

USE = """
import sys
import numpy as np
import pyarrow as pa
from prox_spark.execution import execute_batch
from prox_spark.execution.log_hash import log_hashes
from prox_spark.programs import parse_batch
from prox_spark.rules.programs import document_programs, line_programs
from prox_spark.selection.ngrams import BUCKETS, add_counts, weigh

page = "Home\\nThe page's own text."
call = 'replace_str(1, "own", "new")\\nremove_lines(0, 0)'
chunk = {"line_start": 0, "line_end": 1, "output": call, "numbering_offset": 0, "line_scores": [0.1, None], "confidences": [0.5]}
for texts in (pa.array([page, None]), pa.array([None, page], pa.large_string()).slice(1), pa.chunked_array([[page], [page]])):
    for programs in ([[chunk]] * len(texts), [[call, None]] * len(texts), [None] * (len(texts) - 1) + [["x"]]):
        for mode in ("strict", "compat"):
            log_hashes(execute_batch(texts, pa.array(programs), mode).dropped_lines, len(texts))
parse_batch(pa.array([call, None]), pa.array([5, None], pa.int64()))
document_programs([page, ""], ["gopher_few_words"])
line_programs([], ["c4_few_words"])
add_counts([page], np.zeros(BUCKETS, np.int64))
weigh([page], np.zeros(BUCKETS))
for name, module in list(sys.modules.items()):
    for kernel in vars(module).values() if name.startswith("prox_spark.") else ():
        stats = getattr(kernel, "stats", None)
        if stats is not None:
            assert not stats.cache_misses, (kernel, stats)
            print(sum(stats.cache_hits.values()))
"""


class Copy:
    """A copy of the package with one small kernel in it, and a cache folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PACKAGE, folder / "prox_spark", ignore=ignored)
        (folder / "prox_spark" / "execution" / "small.py").write_text(KERNEL)
        self.cache.mkdir()

    def start(self, **environment: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        given = {"PYTHONPATH": str(self.folder), "NUMBA_CACHE_DIR": str(self.cache), **environment}
        # Python's own cache of byte code looks at time stamps, too.
        command = [sys.executable, "-B", "-c", RUN]
        return subprocess.Popen(
            command, env=kept | given, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, **environment: str) -> tuple[list[int], str]:
        """What the kernel returns, hits and misses of the cache; and the standard error."""
        process = self.start(**environment)
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        return [int(word) for word in output.split()], errors

    def change(self, file: str, old: str, new: str) -> None:
        """Change a source, but neither its size nor its time stamp."""
        path = self.folder / "prox_spark" / file
        text, times = path.read_text(), path.stat()
        assert old in text
        assert len(old) == len(new)
        path.write_text(text.replace(old, new))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    def roots(self) -> list[Path]:
        return list(self.cache.iterdir())

    def digests(self) -> list[Path]:
        (root,) = self.roots()
        return [folder for folder in root.iterdir() if len(folder.name) == 32]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


def test_a_second_process_compiles_nothing(copy: Copy) -> None:
    assert copy.run() == ([10, 0x0EFF, 0, 1], "")
    assert copy.run() == ([10, 0x0EFF, 1, 0], "")


def test_after_warm_no_kernel_is_compiled_whatever_it_is_given() -> None:
    subprocess.run([sys.executable, "-m", "prox_spark.warm"], check=True)
    done = subprocess.run([sys.executable, "-c", USE], check=True, capture_output=True, text=True)
    hits = [int(line) for line in done.stdout.split()]
    assert sum(hits) >= 9


def test_a_change_of_what_a_kernel_calls_or_reads_is_seen(copy: Copy) -> None:
    copy.run()
    copy.change("programs/bytes_kernels.py", "count += part\n", "count -= part\n")
    assert copy.run()[0] == [-10, 0x0EFF, 0, 1]
    copy.change("execution/words.py", "(0x0E00, 0x0EFF)", "(0x0E00, 0x0EFE)")
    assert copy.run()[0] == [-10, 0x0EFE, 0, 1]
    # The first sources again: their code is still there.
    copy.change("execution/words.py", "(0x0E00, 0x0EFE)", "(0x0E00, 0x0EFF)")
    copy.change("programs/bytes_kernels.py", "count -= part\n", "count += part\n")
    assert copy.run()[0] == [10, 0x0EFF, 1, 0]


@pytest.mark.parametrize("inside", [False, True])
def test_a_folder_that_others_can_write_to_is_not_used(copy: Copy, inside: bool) -> None:
    copy.run()
    (opened,) = copy.digests() if inside else copy.roots()
    opened.chmod(0o777)
    found, errors = copy.run()
    assert found == [10, 0x0EFF, 0, 1]
    assert f"{opened} can be written to by others" in errors


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_not_used(copy: Copy) -> None:
    copy.run()
    (given,) = copy.roots()
    os.chown(given, 12345, 12345)
    found, errors = copy.run()
    assert found == [10, 0x0EFF, 0, 1]
    assert f"{given} belongs to another user" in errors


def test_a_link_is_not_followed(copy: Copy) -> None:
    copy.run()
    (root,) = copy.roots()
    root.rename(copy.folder / "elsewhere")
    root.symlink_to(copy.folder / "elsewhere")
    assert copy.run()[0] == [10, 0x0EFF, 0, 1]


def test_code_is_kept_beside_the_package_or_else_in_the_users_folder(copy: Copy) -> None:
    home = copy.folder / "home"
    environment = {"NUMBA_CACHE_DIR": "", "XDG_CACHE_HOME": str(home)}
    assert copy.run(**environment)[0][2:] == [0, 1]
    beside = copy.folder / "prox_spark" / "__pycache__"
    assert len(list(beside.rglob("*.nbi"))) == 1
    assert not home.exists()
    shutil.rmtree(beside)
    # A file in the folder's place is what even root cannot write into.
    beside.write_text("")
    assert [copy.run(**environment)[0][2:] for _ in range(2)] == [[0, 1], [1, 0]]
    assert len(list(home.rglob("*.nbi"))) == 1


def test_the_newest_folders_are_kept(copy: Copy) -> None:
    copy.run()
    (root,) = copy.roots()
    for age in range(6):
        old = root / f"{age:032x}"
        old.mkdir(mode=0o700)
        os.utime(old, (1e9 - age, 1e9 - age))
    (root / "else").mkdir()
    copy.change("execution/words.py", "(0x0E00, 0x0EFF)", "(0x0E00, 0x0EFE)")
    copy.run()
    names = {folder.name for folder in copy.digests()}
    assert len(names) == KEPT
    assert {f"{age:032x}" for age in range(KEPT - 2)} <= names
    assert (root / "else").is_dir()


def test_processes_that_start_at_once_do_not_disturb_each_other(copy: Copy) -> None:
    processes = [copy.start() for _ in range(3)]
    for process in processes:
        output, errors = process.communicate(timeout=300)
        assert (process.returncode, errors) == (0, "")
        assert output.split()[:2] == ["10", str(0x0EFF)]
    assert copy.run()[0][2:] == [1, 0]


def test_the_digest_covers_what_kernels_import() -> None:
    for package in PACKAGES:
        for path in (PACKAGE / package).glob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            if "prox_spark.programs.compiled" not in modules:
                continue
            own = {name.split(".")[1] for name in modules if name.startswith("prox_spark.")}
            assert own <= set(PACKAGES), path
    for path in PACKAGE.rglob("*.py"):
        compiles = "prox_spark.programs.compiled import" in path.read_text(encoding="utf-8")
        assert not compiles or path.parent.name in PACKAGES, path
