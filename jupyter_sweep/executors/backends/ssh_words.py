"""The words and options of ssh hosts, read into plain data; nothing is connected here.

    ssh:gpu1,me@gpu2:2222*4          hosts on the line: [user@]host[:port][*slots]
    ssh:hosts.txt                    a file with one such host a line, perhaps a key file after it; # begins a comment
    ssh                              the hosts of a profile, with its options

Everything that isn't said is left to `~/.ssh/config`, as for the command `ssh`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from ...errors import Mistake, Mistakes, SweepError, suggest

DEFAULTS: dict[str, Any] = {"tls": True, "max_retries": None, "reconn_wait_time": 10.0, "connect_timeout": 10.0}
_WORD = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<host>[\w][\w.-]*|\[[0-9A-Fa-f:.]+(?:%\w+)?\])(?::(?P<port>\d+))?(?:\*(?P<slots>\d+))?"
)
_SHAPE = "[user@]host[:port][*slots], for example me@gpu1:2222*4; an IPv6 address stands in brackets"


def read(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Read the word after `--on` and the options of a profile.

    Returns
    -------
    dict
        The options of DEFAULTS, and `hosts`: for each its `name` (as the user wrote it, without slots; no two alike),
        `host`, `user`, `port`, `key`, `slots`, `python` (None where ssh or the host decides), `env`, `prescript`,
        `postscript`.

    Raises
    ------
    SweepError
        With all that is wrong.
    """
    reading = _Reading(word)
    reading.options(options)
    hosts = reading.hosts(word.partition(":")[2], options)
    if not hosts and not reading.mistakes:
        reading.wrong("no host is named.", f"write {word.partition(':')[0]}:HOST,HOST or `hosts` in the profile")
    reading.name_all(hosts)
    if reading.mistakes:
        raise Mistakes(reading.mistakes)
    settings = {name: options.get(name, default) for name, default in DEFAULTS.items()}
    return {**settings, "hosts": hosts}


def settled(word: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give options that say the same whatever the working directory, and whatever becomes of the file of hosts."""
    rest = word.partition(":")[2]
    if not _names_a_file(rest):
        return dict(options)
    own = {name: value for name, value in options.items() if name != "share"}
    hosts = [{k: v for k, v in host.items() if v and k != "name"} for host in read(word, own)["hosts"]]
    return {**options, "on": word.partition(":")[0], "hosts": hosts}


def address(host: Mapping[str, Any]) -> str:
    """Write a host as the command line of `ssh` takes it."""
    user = f"{host['user']}@" if host["user"] else ""
    return user + str(host["host"])


def _names_a_file(rest: str) -> bool:
    return "/" in rest or rest.endswith(".txt")


class _Reading:
    """Collects what is wrong while the parts are read."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.mistakes: list[Mistake] = []

    def wrong(self, text: str, fix: str = "", where: str = "") -> None:
        self.mistakes.append(Mistake(f"--on {where or self.word}: {text}", fix=fix))

    # -- options ------------------------------------------------------------------------------------------------------

    def options(self, given: Mapping[str, Any]) -> None:
        """Check the options that hold for all hosts."""
        allowed = {name: test for name, test in {**_OF_HOST, **_OF_ALL}.items() if name != "host"}
        self._check(given, allowed, self.word)

    def _check(self, given: Mapping[str, Any], allowed: Mapping[str, tuple[str, _Test]], where: str) -> None:
        for name, value in given.items():
            if name not in allowed:
                self.wrong(f"there is no option {name!r}.{suggest(name, allowed)}", where=where)
            elif not allowed[name][1](value):
                self.wrong(f"{name} wants {allowed[name][0]}, got {value!r}.", where=where)
            elif name == "key":
                self._check_key(value, where)

    def _check_key(self, key: str, where: str) -> None:
        path = os.path.expanduser(key)
        if not os.path.isabs(path):
            self.wrong(f"key wants a path from / or from ~, got {key!r}.", where=where)
        elif not os.path.isfile(path):
            self.wrong(f"there is no key file {key}.", where=where)

    # -- hosts --------------------------------------------------------------------------------------------------------

    def hosts(self, rest: str, options: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Give the hosts of the word, of the file that it names, or of the profile."""
        listed = options.get("hosts", [])
        if rest and listed:
            self.wrong("hosts are named by the word and by `hosts`.", "leave one of them away")
            return []
        tables: list[dict[str, Any] | None]
        if _names_a_file(rest):
            tables = self._file(os.path.expanduser(rest))
        elif rest:
            tables = [self._split(part, self.word) for part in rest.split(",")]
        else:
            tables = [self._table(item) for item in (listed if isinstance(listed, list) else [])]
        common = {name: options[name] for name in _OF_HOST if name in options and name != "host"}
        return [self._whole({**common, **table}) for table in tables if table is not None]

    def _file(self, path: str) -> list[dict[str, Any] | None]:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            self.wrong(f"the file of hosts {path} can't be read: {reason}.", "it holds one host a line")
            return []
        tables: list[dict[str, Any] | None] = []
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            where = f"{path}, line {number}"
            if len(words) > 2:
                self.wrong(f"{line.strip()!r} can't be read.", f"wanted is {_SHAPE}, then perhaps a key file", where)
            elif words:
                table = self._split(words[0], where)
                if table is not None and len(words) == 2:
                    table["key"] = words[1]
                    self._check_key(words[1], where)
                tables.append(table)
        return tables

    def _table(self, item: Any) -> dict[str, Any] | None:
        if isinstance(item, str):
            return self._split(item, self.word)
        if not isinstance(item, Mapping):
            self.wrong(f"a host is a text or a table with `host`, got {item!r}.")
            return None
        table = dict(item)
        self._check(table, _OF_HOST, f"{self.word}, host {table.get('host', '?')}")
        if not isinstance(table.get("host"), str):
            self.wrong(f"a host's table wants `host`, got {item!r}.")
            return None
        name = table["host"]
        split = self._split(f"[{name}]" if name.count(":") > 1 and name[0] != "[" else name, self.word)
        return None if split is None else {**split, **{k: v for k, v in table.items() if k != "host"}}

    def _split(self, text: str, where: str) -> dict[str, Any] | None:
        match = _WORD.fullmatch(text.strip())
        if match is None:
            self.wrong(f"{text.strip()!r} is no host.", f"wanted is {_SHAPE}", where)
            return None
        table: dict[str, Any] = {"host": match["host"].strip("[]")}
        if match["user"]:
            table["user"] = match["user"]
        for name in ("port", "slots"):
            if match[name]:
                table[name] = int(match[name])
                if not _OF_HOST[name][1](table[name]):
                    self.wrong(f"{text.strip()!r}: {name} wants {_OF_HOST[name][0]}.", where=where)
        return table

    def _whole(self, table: Mapping[str, Any]) -> dict[str, Any]:
        key = table.get("key")
        return {
            "host": table["host"],
            **{name: table.get(name) for name in ("user", "port", "slots", "python")},
            "key": os.path.expanduser(key) if isinstance(key, str) else None,
            "env": {k: str(v) for k, v in table["env"].items()} if isinstance(table.get("env"), Mapping) else {},
            "prescript": table.get("prescript") or "",
            "postscript": table.get("postscript") or "",
        }

    def name_all(self, hosts: list[dict[str, Any]]) -> None:
        """Name each host as briefly as tells it apart from the others; one that is there twice is a mistake."""
        for host in hosts:
            host["name"] = host["host"]
        for add in (_with_user, _with_port):
            names = [host["name"] for host in hosts]
            for host in [h for h in hosts if names.count(h["name"]) > 1]:
                host["name"] = add(host)
        names = [host["name"] for host in hosts]
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            self.wrong(f"{name} is named {names.count(name)} times.", f"write it once, with its slots: {name}*8")


def _with_user(host: Mapping[str, Any]) -> str:
    return address(host)


def _with_port(host: Mapping[str, Any]) -> str:
    return f"{host['name']}:{host['port']}" if host["port"] else str(host["name"])


_Test = Callable[[Any], bool]


def _is_whole(least: int, most: int) -> _Test:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _is_environment(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(k, str)
        and re.fullmatch(r"[A-Za-z_]\w*", k)
        and isinstance(v, str | int | float)
        and "\0" not in str(v)
        for k, v in value.items()
    )


_TEXT = ("a text", _is_text)
_OF_HOST: dict[str, tuple[str, _Test]] = {
    "host": _TEXT,
    "user": _TEXT,
    "port": ("a whole number from 1 to 65535", _is_whole(1, 65535)),
    "key": ("the path of a private key", _is_text),
    "slots": ("a whole number from 1 to 1000", _is_whole(1, 1000)),
    "python": ("the path or name of a Python there", _is_text),
    "env": ("a table of variables, NAME = text or number", _is_environment),
    "prescript": ("lines for sh", _is_text),
    "postscript": ("lines for sh", _is_text),
}
_OF_ALL: dict[str, tuple[str, _Test]] = {
    "hosts": ("a list of hosts", lambda value: isinstance(value, list) and bool(value)),
    "max_retries": ("a whole number from 0", _is_whole(0, 10**9)),
    "reconn_wait_time": ("seconds above 0", _is_time),
    "connect_timeout": ("seconds above 0", _is_time),
    "tls": ("true or false", lambda value: isinstance(value, bool)),
}


def check_jobs(n: int, slots: Mapping[str, int]) -> None:
    """Refuse more trials at once than the hosts have slots."""
    if n > sum(slots.values()):
        each = ", ".join(f"{name} {k}" for name, k in slots.items())
        raise SweepError(
            f"--jobs {n}: the hosts have {sum(slots.values())} slots in all ({each}). Give a host more with *: "
            f"ssh:{next(iter(slots), 'HOST')}*{n}."
        )
