"""The place of the program zk-mini."""

from __future__ import annotations

import functools
import os
import shutil
from importlib import metadata
from pathlib import Path
from typing import Optional, Union

from ._errors import ProgramNotFoundError


def find_program(given: Optional[Union[str, os.PathLike[str]]] = None) -> str:
    """Returns the path of the program: as given, from the variable ``ZK_MINI``, from this package, or from the PATH."""
    variable = os.environ.get("ZK_MINI")
    for origin, named in (("the argument `program`", given), ("the variable ZK_MINI", variable)):
        if named:
            path = os.fspath(named)
            if not _is_executable(path):
                raise ProgramNotFoundError(f"{origin} names {path}, which is not an executable file")
            return path
    found = _carried() or shutil.which("zk-mini")
    if found:
        return found
    raise ProgramNotFoundError(
        "the program zk-mini was not found. Looked for, in this order: the argument `program` (not given); the variable ZK_MINI"
        " (not set); the installed package zk-mini (it carries none here); zk-mini on the PATH (not there)."
        " Install the wheel, or build the program with `cargo build --release` in a checkout and name it in ZK_MINI"
    )


@functools.lru_cache(maxsize=None)
def _carried() -> Optional[str]:
    """Returns the program that was installed with this package."""
    try:
        files = metadata.files("zk-mini") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in ("zk-mini", "zk-mini.exe"):
            path = os.path.realpath(Path(str(file.locate())))
            if _is_executable(path):
                return path
    return None


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
