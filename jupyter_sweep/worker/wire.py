"""Frames between a supervisor and its child: four bytes of length, then JSON.

JSON and not pickle, so that nothing a trial sends can run code in the process that supervises it.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from typing import Any

Frame = dict[str, Any]

_HEAD = struct.Struct(">I")
_CHUNK = 1 << 16


class Channel:
    """One end of a connected socket. Any thread may send; one thread receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = bytearray()
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def send(self, frame: Mapping[str, Any]) -> None:
        """Send one frame, waiting while the other side doesn't read."""
        data = json.dumps(frame).encode()
        with self._lock:
            self._sock.sendall(_HEAD.pack(len(data)) + data)

    def send_fds(self, fds: Sequence[int]) -> None:
        """Send descriptors, to a side that waits in `receive_fds` and for nothing else."""
        socket.send_fds(self._sock, [b"f"], list(fds))

    def receive_fds(self, n: int) -> list[int]:
        """Wait for `n` descriptors."""
        fds = socket.recv_fds(self._sock, 1, n)[1]
        if len(fds) < n:
            raise EOFError
        return fds

    def wait(self, timeout_s: float) -> list[Frame]:
        """Give the frames that are there, waiting up to `timeout_s` for the first; EOFError as `pending`."""
        poller = select.poll()
        poller.register(self._sock, select.POLLIN)
        poller.poll(timeout_s * 1000)
        return self.pending()

    def receive(self) -> Frame:
        """Wait for one frame.

        Raises
        ------
        EOFError
            When the other side is gone.
        """
        while True:
            frame = self._complete()
            if frame is not None:
                return frame
            self._fill(0)

    def pending(self) -> list[Frame]:
        """Give the frames that are there, without waiting; EOFError when there are none and the other side is gone."""
        frames: list[Frame] = []
        while True:
            frame = self._complete()
            if frame is not None:
                frames.append(frame)
                continue
            try:
                self._fill(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return frames
            except EOFError:
                if frames:
                    return frames
                raise

    def _fill(self, flags: int) -> None:
        try:
            data = self._sock.recv(_CHUNK, flags)
        except ConnectionResetError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._buffer += data

    def _complete(self) -> Frame | None:
        if len(self._buffer) < _HEAD.size:
            return None
        end = _HEAD.size + _HEAD.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return None
        frame: Frame = json.loads(bytes(self._buffer[_HEAD.size : end]))
        del self._buffer[:end]
        return frame
