"""Permissions: reasons why this process cannot use a file or folder, and the remedies."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path


def can_use(path: Path) -> bool:
    """True if this process may read and write a file, or a folder and its content."""
    enter = os.X_OK if path.is_dir() else 0
    return os.access(path, os.R_OK | os.W_OK | enter)


def remedy(path: Path) -> str:
    """A sentence on the user of this process, the owner of the path, and the command that grants access."""
    user, group, about = os.geteuid(), os.getegid(), path.stat()
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "It lies on a disk that is mounted read-only. Mount it so that it can be written to."
    named = shlex.quote(str(path))
    if user == about.st_uid:
        mode = stat.filemode(about.st_mode)
        return (
            f"Watchmark runs as user id {user}, which owns it, but its mode is {mode}: chmod -R u+rwX {named}"
        )
    return (
        f"Watchmark runs as user id {user}, and it belongs to user id {about.st_uid}: "
        f"sudo chown -R {user}:{group} {named} (of a container: the folder that is mounted there)"
    )


def nearest(path: Path) -> Path:
    """The path, or the closest existing folder above it."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.exists())
