"""The folder of one driver's jobs, on the disk that they share: certificates, the environment they were submitted from.

Only the user can enter it. It goes with the driver, however that ends (`jobqueue_end`); what is left where the whole
machine went is cleared away by the next driver.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .base import load_distributed

_PREFIX, _OWNER = "sweep-", "owner.json"
#: File of the folder that holds the environment which jobs are submitted from.
ENVIRONMENT = "environment.json"


def make(shared: str, kind: str, name: str) -> Path:
    """Make the folder under `shared`, or under a temporary one where that is empty, and note whose it is."""
    folder = Path(shared or tempfile.mkdtemp(prefix="jupyter-sweep-")) / name
    folder.mkdir(mode=0o700, parents=True)
    _write(folder / _OWNER, json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "kind": kind}))
    _write(folder / ENVIRONMENT, json.dumps(dict(os.environ)))
    return folder


def leftovers(shared: str) -> Iterator[tuple[str, str]]:
    """Remove the folders of drivers of this host that went with it; give batch systems and names of their jobs."""
    for note in Path(shared).glob(f"{_PREFIX}*/{_OWNER}") if shared else ():
        try:
            owner = json.loads(note.read_text(encoding="utf-8"))
            kind = owner["kind"]
            if owner["host"] != socket.gethostname() or Path(f"/proc/{owner['pid']}").exists():
                continue
        except (OSError, ValueError, KeyError):  # another driver is at it, or it was never finished
            continue
        yield kind, note.parent.name
        shutil.rmtree(note.parent, ignore_errors=True)


def certificates(folder: Path) -> tuple[Any, Any]:
    """Make a certificate authority of this cluster's own; give what secures scheduler and client, and the workers.

    What the workers need stands in files; the rest never leaves this process.
    """
    distributed = load_distributed()
    ours = distributed.Security.temporary()
    paths = {}
    for name, text in ours.get_tls_config_for_role("worker").items():
        if text and "\n" in text:
            paths[name] = str(folder / f"worker-{name}.pem")
            _write(folder / f"worker-{name}.pem", text)
    theirs = distributed.Security(
        tls_ca_file=paths["ca_file"],
        tls_worker_cert=paths["cert"],
        tls_worker_key=paths["key"],
        require_encryption=True,
    )
    return ours, theirs


def _write(path: Path, text: str) -> None:
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
