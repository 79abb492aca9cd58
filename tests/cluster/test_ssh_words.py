"""What is written after `--on ssh` and in a profile with it, read into hosts; nothing is connected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_sweep.errors import SweepError
from jupyter_sweep.executors import clusters


def hosts_of(word: str, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = clusters.parse(word, options).options["hosts"]
    return [{k: v for k, v in host.items() if v} for host in found]


def test_hosts_are_named_with_user_port_and_slots() -> None:
    assert hosts_of("ssh:gpu1,me@gpu2:2222*4,[fe80::1]:22*2") == [
        {"host": "gpu1", "name": "gpu1"},
        {"host": "gpu2", "user": "me", "port": 2222, "slots": 4, "name": "gpu2"},
        {"host": "fe80::1", "port": 22, "slots": 2, "name": "fe80::1"},
    ]


def test_hosts_of_one_machine_have_names_that_tell_them_apart() -> None:
    assert [host["name"] for host in hosts_of("ssh:a,me@a,b:1,b:2")] == ["a", "me@a", "b:1", "b:2"]


def test_a_file_of_hosts_says_the_same_in_every_folder_and_after_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    key.touch()
    (tmp_path / "hosts.txt").write_text(f"# ours\nme@a:2222*3 {key}\n\n[::1]*2  # here\n")
    monkeypatch.chdir(tmp_path)
    wanted = hosts_of("ssh:hosts.txt")
    settled = json.loads(json.dumps(clusters.settled("ssh:hosts.txt", {"env": {"A": "1"}})))
    monkeypatch.chdir("/")
    (tmp_path / "hosts.txt").unlink()
    assert [{**host, "env": {"A": "1"}} for host in wanted] == hosts_of("ssh:hosts.txt", **settled)
    assert wanted == [
        {"host": "a", "user": "me", "port": 2222, "slots": 3, "key": str(key), "name": "a"},
        {"host": "::1", "slots": 2, "name": "::1"},
    ]


def test_all_mistakes_of_words_and_options_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SweepError) as caught:
        clusters.parse(
            "p", {"on": "ssh:a b,c,c,d:0", "prot": 1, "key": "k", "tls": "no", "env": {"1": 2}, "max_retries": -1}
        )
    text = str(caught.value)
    for part in (
        "there is no option 'prot'. Did you mean 'port'?",
        "key wants a path from / or from ~, got 'k'",
        "tls wants true or false, got 'no'",
        "env wants a table of variables",
        "max_retries wants a whole number from 0, got -1",
        "'a b' is no host",
        "port wants a whole number from 1 to 65535",
        "c is named 2 times",
    ):
        assert part in text
    with pytest.raises(SweepError, match=r"the file of hosts .*no\.txt can't be read: No such file"):
        clusters.parse(f"ssh:{tmp_path}/no.txt")
    with pytest.raises(SweepError, match="no host is named"):
        clusters.parse("ssh")


def test_a_dry_run_shows_what_each_host_would_be_told_and_no_value_of_a_variable() -> None:
    options = {"on": "ssh:me@a:2222*2,b", "env": {"TOKEN": "secret"}, "prescript": "module load cuda"}
    text = clusters.describe(clusters.parse("mine", options))
    assert "ssh -p 2222 me@a sh    # 2 slots" in text
    assert "ssh b sh    # a slot for each core" in text
    assert "    module load cuda\n" in text
    assert "TLS" in text
    assert "secret" not in text
