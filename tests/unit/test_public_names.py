"""``import prox_spark`` is light, and names what it has; type checkers see the functions themselves."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import prox_spark

HEAVY = {"pyspark", "py4j", "torch", "transformers", "vllm", "numba", "numpy", "pandas", "pyarrow"}
NAMES = ["compare", "execute", "export", "generate", "history", "ingest", "load_config", "refine", "report"]


def test_importing_the_package_imports_neither_spark_nor_a_model_nor_the_kernels() -> None:
    ask = "import json, sys, prox_spark; print(json.dumps([dir(prox_spark), sorted(sys.modules)]))"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=120)
    names, modules = json.loads(done.stdout)
    assert set(NAMES) <= set(names)
    assert not HEAVY & set(modules)
    assert [name for name in modules if name.startswith("prox_spark.")] == []


def test_what_it_names_are_functions_with_a_docstring_and_nothing_else_is_there() -> None:
    assert prox_spark.__all__ == NAMES
    for name in NAMES:
        function = getattr(prox_spark, name)
        assert function.__name__ == name
        assert "Raises" in function.__doc__
        assert ">>> " in function.__doc__
    with pytest.raises(AttributeError, match="module 'prox_spark' has no attribute 'refin'"):
        prox_spark.refin  # noqa: B018


def test_type_checkers_see_the_functions_where_they_are_defined(tmp_path: Path) -> None:
    source = Path(prox_spark.__file__).read_text(encoding="utf-8")
    for name, module in prox_spark._MODULES.items():
        assert re.search(rf"    from {re.escape(module)} import (\w+, )*{name}\b", source), name
