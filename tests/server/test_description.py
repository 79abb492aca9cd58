"""The description of the API is true: held against the routes, and against what a real server answers to anything."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from server.conftest import STORE
from server.serving import API, Server

import jupyter_sweep
from jupyter_sweep.server import openapi, wire
from jupyter_sweep.server.routes import ROUTES

PACKAGE = Path(jupyter_sweep.__file__).parent
HEAVY = {
    "pandas",
    "matplotlib",
    "optuna",
    "distributed",
    "dask",
    "ipywidgets",
    "anywidget",
    "numpy",
    "scipy",
    "IPython",
}


def test_every_route_is_described_and_nothing_else(server: Server) -> None:
    found = server.get("/openapi")
    described = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert described == {(r.method, r.path) for r in ROUTES} | {("GET", "/events"), ("GET", "/openapi")}
    assert found["info"]["version"] == jupyter_sweep.__version__


def test_every_parameter_of_a_path_is_described_as_one() -> None:
    for path, methods in openapi.describe("1")["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


def test_every_type_of_the_wire_is_used() -> None:
    types = {name for name in wire.__all__ if isinstance(getattr(wire, name), type)}
    assert types == set(openapi.describe("1")["components"]["schemas"])


def test_loading_the_extension_loads_nothing_heavy() -> None:
    code = (
        "import sys, json\nimport jupyter_server.serverapp\nbefore = set(sys.modules)\n"
        "import jupyter_sweep\njupyter_sweep._jupyter_server_extension_points()\n"
        "print(json.dumps(sorted({n.partition('.')[0] for n in set(sys.modules) - before})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "jupyter_sweep" in loaded
    assert loaded & HEAVY == set()


def test_a_wheel_enables_the_extension() -> None:
    config = json.loads((PACKAGE / "etc" / "jupyter_server_config.d" / "jupyter_sweep.json").read_text())
    assert config == {"ServerApp": {"jpserver_extensions": {"jupyter_sweep": True}}}
    project = (PACKAGE.parent / "pyproject.toml").read_text()
    assert "[tool.hatch.build.targets.wheel.shared-data]" in project
    assert '"jupyter_sweep/etc" = "etc/jupyter"' in project


def test_every_example_is_what_the_description_says() -> None:
    described, shown = openapi.describe("1"), openapi.examples()
    assert shown.keys() == {f"{r.method} {r.path}" for r in ROUTES} | {"GET /events"}
    for route in ROUTES:
        example = shown[f"{route.method} {route.path}"]
        assert set(example["path"]) | set(example["query"]) <= set(route.params)
        for kind, value in ((route.answer, example["answer"]), (route.body, example.get("body"))):
            if kind is not None:
                schema = {"$ref": f"#/components/schemas/{kind.__name__}", "components": described["components"]}
                jsonschema.validate(value, schema)


def test_an_answer_has_the_form_of_its_example(server: Server, root: Path) -> None:
    for question, example in openapi.examples().items():
        method, path = question.split()
        if method == "GET" and path != "/events":
            query = {"folder": str(root / STORE)} if path == "/where" else example["query"]
            real = server.get(path.format(**example["path"]), **query)
            assert real.keys() == example["answer"].keys()


# -- anything that may be asked ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described(server: Server) -> Any:
    """The API as the server describes it, without the stream, which has no end."""
    schemathesis = pytest.importorskip("schemathesis", reason="comes with jupyter-sweep[dev]")
    description = server.get("/openapi")
    del description["paths"]["/events"]
    loaded = schemathesis.openapi.from_dict(description)
    loaded.config.update(base_url=f"{server.url}{API}")
    return loaded


#: Questions of each route; JUPYTER_SWEEP_FUZZ asks more.
EXAMPLES = int(os.environ.get("JUPYTER_SWEEP_FUZZ", "25"))
VALID = {
    "name": st.sampled_from(["digits", "front", "Nobody"]),
    "store": st.sampled_from([STORE, "project", ""]),
    "number": st.integers(0, 15),
    "version": st.integers(1, 2),
    "sweep": st.lists(st.sampled_from([f"{STORE}/digits", f"{STORE}/front@1", "digits"]), min_size=1, max_size=3),
}


def half_valid(case: Any, data: st.DataObject) -> None:
    """Put real names into about half of the places of a well-formed question, so that it gets past the first door."""
    if case.meta.generation.mode.value != "positive":
        return
    for place in (case.path_parameters, case.query):
        for key in place or {}:
            if key in VALID and data.draw(st.booleans()):
                place[key] = data.draw(VALID[key])


def can_be_asked(case: Any) -> bool:
    """Tell whether an address can say it: an empty list leaves no trace, and tornado hangs up on a line of 64 kB."""
    if any(value == [] for value in (case.query or {}).values()):
        return False
    asked = [urlencode(place, doseq=True) for place in (case.path_parameters, case.query) if place]
    return len("".join(asked)) < 32_000


@pytest.mark.slow
@pytest.mark.parametrize("operation", [f"{r.method} {r.path}" for r in ROUTES] + ["GET /openapi"])
def test_whatever_is_asked_the_answer_is_as_described(server: Server, described: Any, operation: str) -> None:
    method, path = operation.split()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @schemathesis_given(described[path][method])
    def ask(case: Any, data: st.DataObject) -> None:
        half_valid(case, data)
        assume(can_be_asked(case))
        case.call_and_validate(headers={"Authorization": f"token {server.token}"})

    ask()
    assert not re.search(r"ServerApp\] 5\d\d .*/jupyter-sweep/", server.log)


def schemathesis_given(operation: Any) -> Any:
    """Draw well-formed questions, and ill-formed ones."""
    from hypothesis import given
    from schemathesis import GenerationMode

    modes = [operation.as_strategy(generation_mode=mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    return given(case=st.one_of(modes), data=st.data())
