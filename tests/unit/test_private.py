"""A private folder is this user's alone, and so is the way to it."""

import os
from pathlib import Path

import pytest

from prox_spark.private import check_private, make_private


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path.resolve() / "above" / "own"
    made.parent.mkdir()
    make_private(made)
    return made


def test_a_new_folder_is_private(folder: Path) -> None:
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_parent_that_others_can_write_to_is_refused_unless_it_is_sticky(folder: Path) -> None:
    folder.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="above, which can be written to by others"):
        check_private(folder)
    folder.parent.chmod(0o1777)
    check_private(folder)


def test_a_parent_that_is_a_link_is_refused(folder: Path) -> None:
    link = folder.parent.with_name("link")
    link.symlink_to(folder.parent)
    with pytest.raises(PermissionError):
        check_private(link / "own")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to another user")
def test_a_parent_of_another_user_is_refused(folder: Path) -> None:
    os.chown(folder.parent, 12345, 0)
    with pytest.raises(PermissionError, match="above, which belongs to another user"):
        check_private(folder)
