"""Our words where our package is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from jupyter_sweep import worker

#: Has only the standard library on its path.
ELSEWHERE = [sys.executable, "-I", "-S", "-c"]
NAMED = (
    "import json, sys; print(json.dumps(sorted(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == {!r})))"
)


def files_of(package: str, printed: str) -> list[str]:
    return sorted(path.rpartition(f"/{package}/")[2] for path in json.loads(printed))


def said(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_our_package_that_the_words_need_travels() -> None:
    code = f"import jupyter_sweep.vocabulary; {NAMED.format('jupyter_sweep')}"
    assert files_of("jupyter_sweep", said([sys.executable, "-c", code])) == list(worker.OF_THE_PACKAGE)


def test_a_captured_word_is_found_where_our_package_is_not_and_reaches_the_trial(tmp_path: Path) -> None:
    code = """
import json, sys
sources = json.load(sys.stdin)
space = {"__name__": "loader"}
exec(sources["loader"], space)
child = space["install"]("_sweep_child", space["compiled"](sources))
sys.meta_path.insert(0, child.job.LocalModules({}))
from jupyter_sweep.vocabulary import report, seed

class Seen:
    def report(self, step, metrics): print("reported", step, metrics)
    def seed(self): return 7

with child.context.installed(Seen()):
    report(loss=0.5, step=seed())
"""
    assert said([*ELSEWHERE, code], json.dumps(worker.sources())) == "reported 7 {'loss': 0.5}\n"


def test_a_package_that_is_installed_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "jupyter_sweep").mkdir()
    (tmp_path / "jupyter_sweep" / "__init__.py").write_text("VALUE = 'installed'\n")
    code = f"""
import json, sys
sys.path.append({str(tmp_path)!r})
sources = json.load(sys.stdin)
space = {{"__name__": "loader"}}
exec(sources["loader"], space)
child = space["install"]("_sweep_child", space["compiled"](sources))
sys.meta_path.insert(0, child.job.LocalModules({{}}))
import jupyter_sweep
print(jupyter_sweep.VALUE)
"""
    assert said([*ELSEWHERE, code], json.dumps(worker.sources())) == "installed\n"
