"""Removes what a host keeps of a store once the last process that uses it is gone, also when that one was killed.

One small process a store and host. It sleeps in a lock that the others hold; nothing of it takes time.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from .locks import hidden, locked

#: Its first line tells in a list of processes what this is. It tries again for a while: trials of a worker that was
#: killed may write a moment longer.
_WORK = """# sweep-janitor
import fcntl, os, shutil, sys, time
home, use, own = sys.argv[1:]
last = os.open(use, os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(last, fcntl.LOCK_EX)
if os.fstat(last).st_nlink:
    for _ in range(100):
        shutil.rmtree(home, ignore_errors=True)
        if not os.path.exists(home):
            break
        time.sleep(0.1)
    os.unlink(own)
    os.unlink(use)
    try:
        os.rmdir(os.path.dirname(home))
    except OSError:
        pass
"""


def hire(home: str) -> None:
    """Start a janitor for a store that this process uses already, unless it has one."""
    own = hidden(home, "janitor")
    post = locked(own)
    if post is None:
        return
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WORK, home, hidden(home, "use"), own],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=[post],
        )
    finally:
        os.close(post)
    threading.Thread(target=process.wait, name="sweep janitor", daemon=True).start()
