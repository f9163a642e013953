"""Units: small files share one, large files have several, and no two batches share any."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from prox_spark.corpora.files import FileInfo
from prox_spark.ingestion.units import batches, group_tasks, plan_units

sizes = st.lists(st.integers(1, 1000), min_size=1, max_size=50)


def files(sizes: list[int]) -> list[FileInfo]:
    return [FileInfo(f"/c/{i}.json", size, datetime(2026, 1, 1, tzinfo=UTC)) for i, size in enumerate(sizes)]


@given(sizes)
def test_units_never_go_back_and_large_files_share_with_nobody(sizes: list[int]) -> None:
    plans = plan_units(files(sizes), 7, 100)
    taken = 6
    for plan in plans:
        assert plan.first_unit >= max(taken, 7)
        assert plan.units == max(1, -(-plan.file.size // 100))
        if plan.units > 1:
            assert plan.first_unit > taken or taken == 6
        taken = plan.first_unit + plan.units - 1


@given(sizes)
def test_batches_hold_every_file_once_in_order(sizes: list[int]) -> None:
    assert [f for batch in batches(files(sizes), 500) for f in batch] == files(sizes)


@given(sizes, st.integers(1, 9))
def test_tasks_share_every_file_out_once(sizes: list[int], tasks: int) -> None:
    plans = plan_units(files(sizes), 0, 100)
    groups = group_tasks(plans, tasks)
    assert len(groups) <= tasks
    assert sorted((p for g in groups for p in g), key=lambda p: plans.index(p)) == plans
