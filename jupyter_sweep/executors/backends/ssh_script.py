"""What is said to a host's shell: how its Python is found, what runs before and after it.

The command line that ssh carries is the same for every host and says nothing; `encoded` gives the first line of the
input, in which the script follows. So whatever the login shell is (csh and fish quote in their own ways), nothing has
to be quoted for it, there is no limit of length, and no variable of the profile shows in a list of processes.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

COMMAND = 'exec sh -c \'IFS= read -r script; eval "$(printf %b "$script")"\''
#: Exit status of a script whose prescript failed.
FAILED = 93
#: Begins the line by which the host presents itself, after whatever a login shell prints.
MARK = "sweep-host "

#: What runs there first, on any Python 3. It presents the host; what to run then comes by the input.
PROBE = (
    """# sweep-host
import json, os, socket, sys
def version(name):
    try:
        from importlib.metadata import version
        return version(name)
    except Exception:
        return ""
def take(n):
    data = b""
    while len(data) < n:
        more = os.read(0, n - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data
try:
    cores = len(os.sched_getaffinity(0))
except AttributeError:
    cores = os.cpu_count() or 1
try:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
except (ValueError, OSError):
    memory = 0
try:
    with open("/proc/%d/environ" % os.getppid(), "rb") as file:
        before = dict(i.split("=", 1) for i in os.fsdecode(file.read()).split(chr(0)) if "=" in i)
except (OSError, ValueError):
    before = dict(os.environ)
names = ("dask", "distributed", "cloudpickle", "msgpack")
hello = {"python": "%d.%d.%d" % sys.version_info[:3], "executable": sys.executable, "cores": cores, "memory": memory,
         "hostname": socket.gethostname(), "versions": {name: version(name) for name in names},
         "address": (os.environ.get("SSH_CONNECTION", "").split() + [""] * 3)[2]}
sys.stdout.write("\\n"""
    + MARK
    + """" + json.dumps(hello) + "\\n")
sys.stdout.flush()
config = json.loads(take(int(take(12))).decode())
config["env_before"] = before
space = {"__name__": "sweep_host"}
exec(compile(config["source"], "<sweep host>", "exec"), space)
sys.exit(space["main"](config))
"""
)


def script(host: Mapping[str, Any], probe: str = PROBE) -> str:
    """Write the script of one host: variables, prescript, Python, postscript.

    >>> print(script({"env": {"A": "b c"}, "prescript": "", "python": "python3.11", "postscript": ""}, "probe"))
    export A='b c'
    python=python3.11
    "$python" -c probe; status=$?
    exit $status
    """
    lines = [f"export {name}={shlex.quote(value)}" for name, value in host["env"].items()]
    if host["prescript"]:
        lines += ["{", host["prescript"], f"}} </dev/null >&2 || exit {FAILED}"]
    lines += _choice(host["python"])
    lines.append(f'"$python" -c {shlex.quote(probe)}; status=$?')
    if host["postscript"]:
        # When the driver was killed nobody reads what is written here; that must not end it.
        lines += ["trap '' PIPE", "{", host["postscript"], "} </dev/null >&2"]
    lines.append("exit $status")
    return "\n".join(lines)


def _choice(python: str | None) -> list[str]:
    """Choose the Python: as the profile says, else the one that runs here if it is there, too, else python3."""
    if python is None:
        return [f"python={shlex.quote(sys.executable)}", '[ -x "$python" ] || python=python3']
    if python.startswith("~/"):
        return [f'python="$HOME"/{shlex.quote(python[2:])}']
    return [f"python={shlex.quote(python)}"]


def encoded(text: str) -> bytes:
    """Write a script as one line for `printf %b`.

    >>> encoded("a b\\n$")
    b'a b\\\\0012\\\\0044\\n'
    """
    plain = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.,:/=+@"
    return b"".join(bytes([c]) if c in plain else b"\\0%03o" % c for c in text.encode()) + b"\n"
