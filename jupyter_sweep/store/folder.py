"""Where things lie under the store's home (`sweeps/`), private to the user.

    sweeps.db                     the only truth
    NAME/0017-lr=0.01_opt=sgd/    one trial: params.json, log.txt, metrics.json, saved artifacts
    .data/                        jobs and captured buffers, named by content
    .driver/                      driver logs; launch-ID.json: environment and folder of whoever started a sweep
    .stages/                      results of stage(), shared by trials

The name of a trial's folder is decoration: the store keeps the path, nobody parses it. JSON files are written aside and
renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import StoreError
from ..worker.context import CHECKPOINT

DATA, DRIVER, STAGES = ".data", ".driver", ".stages"
#: Files of one trial that are named at most.
MOST_SAVED = 200
_MAX_NAME = 96
_LOG_TAIL = 1_000_000
_YOUNG_S = 3600.0
_NETWORK = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "afs", "9p", "ceph", "glusterfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse"),
}
#: The kernel's table of what is mounted.
MOUNTS = Path("/proc/mounts")


def make_private(folder: Path) -> Path:
    """Make a folder that only the user can enter; say so in one sentence when it can't be made."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {folder} can't be made: {error.strerror or error}. Space and permissions there are needed; "
            "JUPYTER_SWEEP_HOME can name another folder."
        ) from error
    return folder


def make_trial_folder(home: Path, path: str) -> Path:
    """Make a trial's folder under `home`, which must be there: one that was removed meanwhile is not made again."""
    folder = home
    for part in path.split("/"):
        folder /= part
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StoreError(f"The trial's folder {folder} can't be made: {error.strerror or error}.") from error
    return folder


def hand_over_checkpoint(home: Path, old: str, new: str) -> None:
    """Give what a cancelled trial kept to the one that runs its configuration again."""
    source = home / old / CHECKPOINT
    if source.exists():
        os.replace(source, home / new / CHECKPOINT)


def checkpointed_at(folder: Path) -> float:
    """Give when a trial kept its last `checkpoint()`, in UTC seconds; 0.0 when it kept none."""
    try:
        return (folder / CHECKPOINT).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def trial_folder(number: int, params: Mapping[str, Any]) -> str:
    """Give the name of a trial's folder: its number and as many readable parameters as fit in 96 characters.

    >>> trial_folder(17, {"lr": 0.01, "opt": "sgd"})
    '0017-lr=0.01_opt=sgd'
    """
    name = f"{number:04d}"
    for key, value in params.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        part = re.sub(r"[^A-Za-z0-9.+=-]+", "-", f"{key}={text[:40]}").strip("-.")
        joined = f"{name}{'_' if '=' in name else '-'}{part}"
        if len(joined) > _MAX_NAME:
            break
        name = joined
    return name


def free_trial_folder(home: Path, sweep: str, number: int, params: Mapping[str, Any]) -> str:
    """Give the path under `home` for a new trial's folder, one that is not there.

    One may be that this store never made: `sweeps.db` was moved away, or a sweep dropped whose files could not be
    removed. The new trial would go on from its checkpoint, add to its log, and give its files for its own.
    """
    path = plain = f"{sweep}/{trial_folder(number, params)}"
    further = itertools.count(2)
    while os.path.lexists(home / path):
        path = f"{plain}~{next(further)}"
    return path


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write one JSON object as it is, aside and renamed, readable by the user only."""
    aside = path.with_name(path.name + ".tmp")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(data, file)
        os.replace(aside, path)
    except OSError as error:
        raise StoreError(f"{path} can't be written: {error.strerror or error}.") from error


def write_numbers(path: Path, numbers: Mapping[str, float]) -> None:
    """Write numbers by name as `write_json` does; JSON has no NaN, which is null, and the infinite ones are texts."""
    coded = {n: v if math.isfinite(v) else None if math.isnan(v) else str(v) for n, v in numbers.items()}
    write_json(path, coded)


def read_job(home: Path, name: str) -> dict[str, Any]:
    """Give a job file's content; {} when it is gone."""
    try:
        job: dict[str, Any] = json.loads((home / DATA / name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return job


def launch_path(home: Path, sweep_id: int) -> Path:
    """Give the file that holds what the starter of a sweep left for its trials."""
    return home / DRIVER / f"launch-{sweep_id}.json"


def read_launch(path: str | Path) -> dict[str, Any]:
    """Give what a starter of a sweep left for its trials; {} when it is gone or was cut off."""
    try:
        launch: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return launch


def read_log(path: Path, limit: int = _LOG_TAIL) -> str:
    """Give the end of a trial's log, at most `limit` bytes, saying what was left out; empty when there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    if size <= limit:
        return text
    return f"... {size - limit:,} bytes before this are left out; the whole log: {path}\n{text}"


def saved(path: Path) -> list[tuple[str, int]]:
    """Give the files that a trial saved, by their path in its folder with their size; at most MOST_SAVED, by name."""
    own = {"params.json", "metrics.json", "log.txt"}
    found = []
    for folder, _, files in os.walk(path):  # which passes over folders that a running trial removes meanwhile
        for file in (Path(folder, name) for name in files):
            with contextlib.suppress(FileNotFoundError):  # it writes aside and renames
                if file.is_file() and not file.is_symlink() and file.relative_to(path).as_posix() not in own:
                    found.append((file.relative_to(path).as_posix(), file.stat().st_size))
    return sorted(found)[:MOST_SAVED]


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours and all in it; what is gone already is fine."""
    shutil.rmtree(folder, ignore_errors=True)


def unused_data(home: Path, jobs: list[str]) -> list[Path]:
    """Give the job and buffer files that no sweep names; not young ones: a sweep may just be starting with them."""
    data = home / DATA
    used = set(jobs)
    for name in jobs:
        job = read_job(home, name)
        used |= {job["namespace"], *(buffer for buffer, _ in job["buffers"])} if job else set()
    limit = time.time() - _YOUNG_S
    return [path for path in data.glob("*") if path.name not in used and _written_at(path) < limit]


def _written_at(path: Path) -> float:
    """Give when a file was written, or taken up again; endlessly late when somebody else has removed it meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return math.inf


def remove_unused_data(home: Path, jobs: list[str]) -> None:
    """Remove what `unused_data` finds."""
    for path in unused_data(home, jobs):
        path.unlink(missing_ok=True)


def is_on_network(path: Path) -> bool:
    """Tell whether a folder lies on the file system of a network."""
    return _file_system(path) in _NETWORK


def _file_system(path: Path) -> str:
    """Give the type of the file system that holds `path`, from the kernel's mount table; empty where there is none."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    target = str(path.resolve())
    mounts = [(_unescaped(line.split()[1]), line.split()[2]) for line in lines]
    inside = [(point, kind) for point, kind in mounts if target == point or target.startswith(point.rstrip("/") + "/")]
    # Of two in one place the later one hides the other: an automounter's own lies under what it has mounted.
    return max(reversed(inside), key=lambda item: len(item[0]))[1] if inside else ""


def _unescaped(text: str) -> str:
    """Give a path of the mount table, which writes blanks and backslashes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
