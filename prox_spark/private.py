"""Folders of one user whose content is trusted: no other user can replace their files or the folders themselves."""

import os
import stat
from pathlib import Path


def make_private(folder: Path) -> None:
    """Create the folder for this user only; its parent must exist. Raises ``OSError`` like ``check_private``."""
    folder.mkdir(mode=0o700, exist_ok=True)
    check_private(folder)


def check_private(folder: Path) -> None:
    """Raise ``OSError`` unless the folder belongs to this user, no other user can write to it, and none can replace it.

    Each folder above it must belong to root or this user, and may be writable by others only if it is sticky (``/tmp``):
    a user who can write to a folder can rename its entries. No part of the path may be a link; ``Path.resolve`` follows links.
    """
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{folder} is not a folder")
    if found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    if found.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written to by others")
    for above in folder.parents:
        _check_above(folder, above)


def _check_above(folder: Path, above: Path) -> None:
    found = above.lstat()
    if found.st_uid not in (0, os.getuid()):
        raise PermissionError(f"{folder} is in {above}, which belongs to another user")
    # A user's own group usually has no other members.
    others = 0o002 if found.st_gid in (0, os.getgid()) else 0o022
    if found.st_mode & others and not found.st_mode & stat.S_ISVTX:
        raise PermissionError(f"{folder} is in {above}, which can be written to by others")
