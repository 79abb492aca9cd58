"""Hosts for tests, inside this machine: network namespaces with an ssh server each, and one for who drives them.

The hosts hang on a bridge in the hub's namespace. None of them has an uplink, so nothing can leave, and nothing outside
can reach in. They share the list of processes, and have names, addresses and ssh keys of their own. They share the file
system, but for the folders that are hidden from some: over those such a host has empty ones of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

NET = "10.77.8"
_TOOLS = ("ip", "ssh", "ssh-keygen", "unshare")
_SSHD = "/usr/sbin/sshd"
_SSHD_CONFIG = """\
Port 22
ListenAddress {address}
HostKey {folder}/{name}.key
AuthorizedKeysFile {folder}/id.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 50
"""


def missing() -> str:
    """Say why such hosts can't be had here; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    tools = [tool for tool in _TOOLS if shutil.which(tool) is None] + ([] if os.path.exists(_SSHD) else ["sshd"])
    if tools:
        return f"not installed: {', '.join(tools)} (Debian: iproute2 openssh-client openssh-server)"
    probe = subprocess.run(["ip", "netns", "add", _name("probe")], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", _name("probe")], capture_output=True, check=False)
    return "" if probe.returncode == 0 else f"no network namespaces: {probe.stderr.strip()}"


def _name(part: str) -> str:
    return f"sw{os.getpid() % 100000}-{part}"


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


class Hosts:
    """Hosts h1, h2 ... and the hub; `home` is the HOME of who drives them, with an `.ssh` that knows the hosts.

    `folder` is seen by all; `hidden` are the folders that a host does not see, by its name.
    """

    def __init__(self, n: int = 3, hidden: Mapping[str, Sequence[Path]] | None = None) -> None:
        self._hidden = hidden or {}
        self.names = [f"h{i + 1}" for i in range(n)]
        self.folder = Path(tempfile.mkdtemp(prefix="sweep-netns-"))
        self.home = self.folder / "home"
        self.ssh = self.home / ".ssh"
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def address(self, name: str) -> str:
        return f"{NET}.{10 + int(name[1:])}"

    def _make(self) -> None:
        self.ssh.mkdir(mode=0o700, parents=True)
        os.makedirs("/run/sshd", exist_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.folder}/id")
        hub = _name("hub")
        _run("ip", "netns", "add", hub)
        _run("ip", "-n", hub, "link", "set", "lo", "up")
        _run("ip", "-n", hub, "link", "add", "br0", "type", "bridge")
        _run("ip", "-n", hub, "addr", "add", f"{NET}.1/24", "dev", "br0")
        _run("ip", "-n", hub, "link", "set", "br0", "up")
        for name in self.names:
            self._make_host(name)
        self.write_ssh_files()
        for name in self.names:
            self._await_server(name)

    def _make_host(self, name: str) -> None:
        hub, own, cable = _name("hub"), _name(name), f"{_name(name)}v"
        _run("ip", "netns", "add", own)
        _run("ip", "-n", own, "link", "set", "lo", "up")
        _run("ip", "link", "add", cable, "netns", hub, "type", "veth", "peer", "name", "eth0", "netns", own)
        _run("ip", "-n", hub, "link", "set", cable, "master", "br0", "up")
        _run("ip", "-n", own, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        _run("ip", "-n", own, "link", "set", "eth0", "up")
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{self.folder}/{name}.key")
        config = self.folder / f"{name}.conf"
        config.write_text(_SSHD_CONFIG.format(address=self.address(name), folder=self.folder, name=name))
        covers = "".join(f"mount -t tmpfs none {path} && " for path in self._hidden.get(name, ()))
        server = f"hostname {name} && {covers}exec {_SSHD} -f {config} -E {self.folder}/{name}.log"
        _run("ip", "netns", "exec", own, "unshare", "--uts", "--mount", "sh", "-c", server)

    def _await_server(self, name: str) -> None:
        limit = time.monotonic() + 20
        while True:
            command = ["ssh", "-F", f"{self.ssh}/config", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", name, "true"]
            done = subprocess.run(self.inside(command), capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            assert time.monotonic() < limit, done.stderr
            time.sleep(0.05)

    def write_ssh_files(self) -> None:
        """Write `.ssh` as a user has it who has been on every host before."""
        lines = [f"Host {n}\n  HostName {self.address(n)}\n  User root\n" for n in self.names]
        known = f"Host *\n  IdentityFile {self.folder}/id\n  UserKnownHostsFile {self.ssh}/known_hosts\n"
        (self.ssh / "config").write_text("".join(lines) + known)
        (self.ssh / "known_hosts").write_text("".join(f"{self.key_line(n)}\n" for n in self.names))

    def key_line(self, name: str) -> str:
        """Give the line of known_hosts for a host."""
        kind, key = (self.folder / f"{name}.key.pub").read_text().split()[:2]
        return f"{self.address(name)} {kind} {key}"

    # -- for tests ----------------------------------------------------------------------------------------------------

    def inside(self, command: Sequence[str], where: str = "hub") -> list[str]:
        """Give the command that runs another one in a namespace."""
        return ["ip", "netns", "exec", _name(where), *command]

    def environment(self, **more: str) -> Mapping[str, str]:
        """Give the environment of who drives the hosts."""
        own = {k: v for k, v in os.environ.items() if not k.startswith("SSH_")}
        return {**own, "HOME": str(self.home), **more}

    def cut(self, name: str) -> None:
        """Pull a host's cable."""
        _run("ip", "-n", _name("hub"), "link", "set", f"{_name(name)}v", "down")

    def plug(self, name: str) -> None:
        """Put a host's cable back."""
        _run("ip", "-n", _name("hub"), "link", "set", f"{_name(name)}v", "up")

    def processes(self, name: str) -> list[psutil.Process]:
        """Give what runs on a host, without its ssh server and that server's connections."""
        found = []
        for pid in _run("ip", "netns", "pids", _name(name)).split():
            try:
                process = psutil.Process(int(pid))
                if process.name() != "sshd" and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def close(self) -> None:
        """End everything in the namespaces, and them."""
        for part in ("hub", *self.names):
            for pid in subprocess.run(
                ["ip", "netns", "pids", _name(part)], capture_output=True, text=True, check=False
            ).stdout.split():
                try:
                    os.kill(int(pid), 9)
                except ProcessLookupError:
                    continue
            subprocess.run(["ip", "netns", "del", _name(part)], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
