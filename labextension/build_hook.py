"""Builds the front end into a wheel, where Node.js is there; a wheel without it has everything but the sidebar."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHARE = "share/jupyter/labextensions/jupyter-sweep"


class LabextensionHook(BuildHookInterface):  # type: ignore[type-arg]
    """An editable install gets no front end here: `make lab` and `make test` build it into the source tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        source, built = Path(self.root, "labextension"), Path(self.root, "jupyter_sweep", "labextension")
        if version == "editable":
            return
        if not (built / "package.json").exists() and not _build(source):
            print(
                "jupyter_sweep is built without its sidebar, which needs Node.js 20 and npm's registry.",
                file=sys.stderr,
            )
            return
        build_data["artifacts"].append("/jupyter_sweep/labextension")
        build_data["shared_data"][str(built)] = SHARE
        build_data["shared_data"][str(source / "install.json")] = f"{SHARE}/install.json"


def _build(source: Path) -> bool:
    """Build it; False where that can't be done: an install must not fail for want of a sidebar."""
    jlpm, node = shutil.which("jlpm"), shutil.which("node")
    if jlpm is None or node is None:
        return False
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    if int(version.strip().lstrip("v").partition(".")[0] or 0) < 20:
        return False
    commands = (["install", "--immutable"], ["build:prod"])
    return all(subprocess.run([jlpm, *command], cwd=source, check=False).returncode == 0 for command in commands)
