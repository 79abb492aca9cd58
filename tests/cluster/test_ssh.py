"""Sweeps on ssh hosts: three of them in network namespaces, driven from a fourth.

The third host sees neither the folder of the sweeps nor our package: what it needs travels.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from cluster import netns
from cluster.hub import ROOT, Hub, host_of, listening, running_on, stranger, until
from conftest import command_of, end_processes_of, processes_of

from jupyter_sweep import sweep

pytestmark = [
    pytest.mark.skipif(bool(netns.missing()), reason=netns.missing() or "-"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[netns.Hosts]:
    made = netns.Hosts(3, hidden={"h3": [tmp_path_factory.getbasetemp(), ROOT / "jupyter_sweep"]})
    yield made
    made.close()


@pytest.fixture
def hub(hosts: netns.Hosts, home: Path) -> Iterator[Hub]:
    hosts.write_ssh_files()
    made = Hub(hosts, home)
    yield made
    for name in hosts.names:
        hosts.plug(name)
    for process in processes_of(home):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()

    def left() -> list[str]:
        found = []
        for process in itertools.chain.from_iterable(map(hosts.processes, hosts.names)):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(" ".join(process.cmdline())[:200])
        return found

    with contextlib.suppress(AssertionError):  # a host that was cut off may take TCP's pauses to hear that all is over
        until(lambda: not left(), "hosts are not clear", 180)
    assert left() == []


def folders() -> set[str]:
    return {name for name in os.listdir("/tmp") if name.startswith(("sweep-host-", "sweep-new-"))}


# -- sweeps -----------------------------------------------------------------------------------------------------------


def test_a_sweep_runs_on_all_hosts_with_its_data_sent_once_and_leaves_nothing_there(
    hub: Hub, hosts: netns.Hosts
) -> None:
    before = folders()
    (hub.home.parent / "helper.py").write_text("def half(number):\n    return number / 2\n")
    said = hub.run("""
import helper, numpy
from jupyter_sweep import save
data = numpy.arange(1_000_000)

def job(x):
    print("ran on", socket.gethostname())
    open(f"{GATE}/{uuid.uuid4().hex}", "w").close()
    while len(os.listdir(GATE)) < 9:  # until each slot has one
        time.sleep(0.05)
    save("host.joblib", socket.gethostname())
    return helper.half(float(data[-1]))

go(job, 30, "ssh:h1*2,h2*2,h3*5", no_canary=True)
""")
    assert said == "", said
    handle = sweep("s", folder=hub.home)
    assert (handle.state, handle.counts) == ("finished", {"completed": 30})
    wanted = {f"{name}/{i}" for name, slots in (("h1", 2), ("h2", 2), ("h3", 5)) for i in range(slots)}
    assert {t.worker for t in handle.trials()} == wanted
    for trial in handle.trials():
        host = host_of(trial.worker)
        assert trial.metrics == {"loss": 499999.5}
        assert handle.log(trial.number) == f"ran on {host}\n"
        assert handle.load("host.joblib", trial=trial.number) == host
    assert hub.sent(larger_than=7_000_000) == [hosts.address("h3")]  # to two worker processes and five slots
    until(lambda: not processes_of(hub.home), "the driver does not end")
    until(lambda: not any(hosts.processes(name) for name in hosts.names), "the hosts are not clear")
    until(lambda: folders() == before, "folders are left")


def test_a_trial_that_crashes_on_a_host_is_not_taken_for_one_whose_host_went(hub: Hub) -> None:
    hub.run("""
def crash(x):
    import ctypes
    ctypes.string_at(0)

go(crash, 1, "ssh:h1*2", no_canary=True, retry=1)
""")
    (trial,) = sweep("s", folder=hub.home).trials()
    assert (trial.state, trial.reason, trial.attempt) == ("failed", "crash", 2)
    assert "SIGSEGV" in trial.error


def test_a_host_that_is_cut_off_loses_its_trials_to_the_others_and_is_used_again_once_it_is_back(
    hub: Hub, hosts: netns.Hosts
) -> None:
    hub.profile('[profiles.hosts]\non = "ssh:h1*2,h2*2,h3*2"\nreconn_wait_time = 1\n')
    handle = hub.start('leave(hold, 8, "hosts")')
    until(lambda: len(running_on(handle, *hosts.names)) == len(hub.held(*hosts.names)) == 6, "trials do not start")
    hit, orphans = running_on(handle, "h3"), hosts.processes("h3")
    hosts.cut("h2")
    hosts.plug("h2")  # so short a time costs nothing
    hosts.cut("h3")
    until(lambda: not running_on(handle, "h3"), "the lost trials are not told")
    lost = handle.attempts()
    assert {(a.number, a.attempt, a.reason, host_of(a.worker)) for a in lost} == {(n, 1, "lost", "h3") for n in hit}
    hub.release("h1", "h2")
    until(lambda: running_on(handle, "h1", "h2") >= hit, "the lost trials do not run elsewhere")
    hosts.plug("h3")
    hub.start('leave(hold, 10, "hosts")')
    until(lambda: len(running_on(handle, "h3")) == 2, "h3 is not used again")
    # None of before works beside those of now; a shell may still be taking note of that.
    assert not [p for p in orphans if "python" in command_of(p).partition(" ")[0]]
    until(lambda: not any(p.is_running() for p in orphans), "what is left of before does not end")
    hub.release()
    assert handle.wait(60)
    assert (handle.state, handle.counts) == ("finished", {"completed": 10})
    trials = handle.trials()
    assert [t.number for t in trials] == list(range(10))
    assert {t.number for t in trials if t.attempt == 2} == hit
    assert handle.attempts() == lost
    assert all(host_of(t.worker) != "h3" for t in trials if t.number in hit)


def test_a_host_that_is_down_at_the_start_does_not_keep_the_others_from_starting(hub: Hub, hosts: netns.Hosts) -> None:
    hosts.cut("h2")
    hub.profile('[profiles.hosts]\non = "ssh"\nhosts = ["h1*2", "h2*2"]\nconnect_timeout = 2\nreconn_wait_time = 1\n')
    handle = hub.start('leave(hold, 4, "hosts")')
    until(lambda: len(running_on(handle, "h1")) == 2, "h1 runs nothing")
    row = until(lambda: [w for w in handle.workers.to_dict("records") if w["worker"] == "h2"], "h2 is not told of")[0]
    assert row["state"] == "queued"
    assert "tried again every 1 s" in row["job_state"]
    hosts.plug("h2")
    until(lambda: len(running_on(handle, "h2")) == 2, "h2 is not taken in")
    hub.release()
    assert handle.wait(60)
    assert handle.counts == {"completed": 4}


def test_hosts_that_stay_away_are_given_up_the_sweep_fails_with_the_last_and_orphans_end(
    hub: Hub, hosts: netns.Hosts
) -> None:
    hub.profile('[profiles.hosts]\non = "ssh:h1*2"\nconnect_timeout = 1\nreconn_wait_time = 0.5\nmax_retries = 2\n')
    handle = hub.start('leave(hold, 4, "hosts")')
    until(lambda: running_on(handle, "h1"), "h1 runs nothing")
    hosts.cut("h1")
    assert handle.wait(60)
    assert handle.state == "failed"
    assert "every host is given up" in handle.definition.message
    until(lambda: not hosts.processes("h1"), "orphans on the host that was cut off")


def test_no_stranger_gets_a_word_and_a_driver_that_is_killed_leaves_nothing_on_the_hosts(
    hub: Hub, hosts: netns.Hosts
) -> None:
    before = folders()
    handle = hub.start('leave(hold, 6, "ssh:h1*2,h2*2,h3*2")')
    until(lambda: len(running_on(handle, *hosts.names)) == 6, "trials do not start")
    found = [a for where in ("hub", *hosts.names) for a in listening(hosts, where)]
    outside = [a for a in found if not a.startswith(("127.", "[::1]")) and not a.endswith(":22")]
    # The scheduler and each host's worker; nothing else, and nothing on all interfaces.
    assert sorted(a.rpartition(":")[0] for a in outside) == [f"{netns.NET}.1", *map(hosts.address, hosts.names)], found
    for address in outside:
        assert stranger(hosts, address).startswith("refused"), address
    assert all(hosts.processes(name) for name in hosts.names)
    assert len(folders() - before) == 3
    hub.driver().kill()
    until(lambda: not any(hosts.processes(name) for name in hosts.names), "the hosts are not clear")
    until(lambda: folders() == before, "folders are left")


# -- what is refused --------------------------------------------------------------------------------------------------


def test_a_host_with_an_unknown_key_is_refused_and_the_command_that_is_named_lets_it_in(
    hub: Hub, hosts: netns.Hosts
) -> None:
    known = hosts.ssh / "known_hosts"
    known.write_text(f"{hosts.key_line('h1')}\n")
    said = hub.refusal("ssh:h1,h2")
    assert "1 of 2 hosts can't be used; nothing was started" in said
    assert "unknown host key" in said
    line = re.search(r"Then: (echo .*)", said)
    assert line is not None, said
    assert known.read_text() == f"{hosts.key_line('h1')}\n"  # nothing is trusted by looking
    subprocess.run(["sh", "-c", line[1]], check=True)
    assert hosts.key_line("h2") in known.read_text().splitlines()
    said = hub.run("""
from jupyter_sweep.executors import clusters
print(*clusters.look([clusters.parse("ssh:h1*3,h2*2,h3:2222*2")])[0], sep="|")
""")
    assert re.fullmatch(
        r"5\|Python [\d.]+, distributed [\d.]+\|ok, 2 of 3 hosts; h3: connection refused\|True\n", said
    ), said


def test_a_host_whose_key_changed_and_one_that_lets_us_not_in_are_refused_together(
    hub: Hub, hosts: netns.Hosts
) -> None:
    other = hosts.key_line("h2").split()[2]
    known = hosts.ssh / "known_hosts"
    known.write_text(known.read_text().replace(hosts.key_line("h1").split()[2], other))
    said = hub.run('leave(job, 2, "ssh:h1,nobody@h2,h2:2222,h3,no.such.host")')
    assert "4 of 5 hosts can't be used; nothing was started" in said
    assert "h2: connection refused: is it on, and is its sshd reachable from here?" in said
    assert "its key CHANGED" in said
    assert f"ssh-keygen -R {hosts.address('h1')}" in said
    assert "ssh -o BatchMode=yes nobody@h2 true" in said
    assert "no such host name" in said
    assert re.search(r"^h3 +yes +[\d.]+ +[\d.]+ +\d+ +\d+G +ok$", said, re.MULTILINE), said
    assert not hub.home.exists()
    assert processes_of(hub.home) == []


def test_a_host_whose_python_does_not_fit_is_refused_with_the_way_out(hub: Hub) -> None:
    fake = hub.home.parent / "python"
    old = f"#!{sys.executable}\nimport sys\nsys.version_info = (3, 8, 1)\nsys.argv = sys.argv[1:]\nexec(sys.argv[1])\n"
    fake.write_text(old)
    fake.chmod(0o755)
    hub.profile(f"""
[profiles.odd]
on = "ssh"
hosts = [{{host = "h1", python = "{fake}"}}, {{host = "h2", python = "/no/such/python"}},
         {{host = "h3", prescript = "echo no licence >&2; false"}}]
""")
    said = hub.run('leave(job, 2, "odd")')
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert f"Python 3.8, not {wanted}" in said
    assert f'python = "/path/to/python{wanted}"' in said
    assert "no Python there" in said
    assert "its prescript failed" in said
    assert "no licence" in said


# -- what reaches the hosts, and what they print ----------------------------------------------------------------------

PROFILE = """
[profiles.mine]
on = "ssh:h1*2,h3"
env = {{ PHRASE = "it's $HOME, \\"quoted\\"" }}
prescript = "export FROM_SCRIPT=$(hostname); echo chatter; hostname >> {notes}.before"
postscript = "hostname >> {notes}.after"
"""
TWO_SWEEPS = """
def look(x):
    print(os.environ["PHRASE"], os.environ["FROM_SCRIPT"])
    listed = [words(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    assert any("sweep-worker" in text for text in listed)
    return sum("quoted" in text for text in listed)

def words(pid):
    try:
        here = os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net")
        return open(f"/proc/{pid}/cmdline").read() if here else ""
    except OSError:  # it has ended
        return ""

def flood(x):
    worker = next(p for p in parents() if b"# sweep-worker" in open(f"/proc/{p}/cmdline", "rb").read())
    with open(f"/proc/{worker}/fd/2", "wb", buffering=0) as stderr:
        for _ in range(10 * 64):
            stderr.write(b"x" * (1 << 14) + b"\\n")
    return x

def parents(pid="self"):
    while pid not in ("0", "1"):
        pid = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1]
        yield pid

go(look, 8, "mine", name="look", jobs=3)
go(flood, 3, "mine", name="flood", jobs=3, timeout=120)
"""


@pytest.fixture(scope="module")
def spoken(hosts: netns.Hosts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub where two sweeps ran on the hosts of a profile, one after the other on one cluster, which has ended."""
    hub = Hub(hosts, tmp_path_factory.mktemp("spoken") / "sweeps")
    hub.profile(PROFILE.format(notes=hub.gate))
    try:
        assert hub.run(TWO_SWEEPS) == ""
        until(lambda: not processes_of(hub.home), "the driver does not end")
        yield hub
    finally:
        end_processes_of(hub.home)


def test_variables_and_scripts_of_the_profile_hold_for_the_trials_and_show_in_no_list_of_processes_there(
    spoken: Hub,
) -> None:
    handle = sweep("look", folder=spoken.home)
    assert (handle.state, {t.metrics["loss"] for t in handle.trials()}) == ("finished", {0.0})
    for trial in handle.trials():
        assert handle.log(trial.number) == f"""it's $HOME, "quoted" {host_of(trial.worker)}\n"""
    before, after = (sorted(Path(f"{spoken.gate}.{when}").read_text().split()) for when in ("before", "after"))
    assert set(before) == {"h1", "h3"}
    assert after == before  # for the look before the start, too
    assert "chatter" in spoken.log_of("h1")


def test_a_worker_that_prints_without_end_blocks_nobody(spoken: Hub) -> None:
    handle = sweep("flood", folder=spoken.home)
    assert handle.counts == {"completed": 3}, handle.df.to_string()
    assert sum(len(spoken.log_of(name)) for name in ("h1", "h3")) > 10 << 20
