"""Two network namespaces as two hosts with a cable between them that can be pulled; needs root."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADDRESSES = ("10.77.0.1", "10.77.0.2")


class Hosts:
    """The two hosts; made by ``two_hosts``."""

    def __init__(self) -> None:
        self.names = [f"hepjax{os.getpid()}{end}" for end in "ab"]
        self.ends = [f"hj{os.getpid()}{end}" for end in "ab"]

    def on(self, host: int, command: list[str]) -> list[str]:
        """``command`` on one of them, under a host name of its own, by which Gloo finds it."""
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', self.names[host]]
        return ["ip", "netns", "exec", self.names[host], *named, *command]

    def cable(self, state: str) -> None:
        """Pull (``down``) or plug in (``up``) the cable."""
        _ip("-n", self.names[0], "link", "set", self.ends[0], state)

    def make(self) -> None:
        """Namespaces, the cable, addresses, and files of host names."""
        for name in self.names:
            _ip("netns", "add", name)
            folder = Path("/etc/netns") / name
            folder.mkdir(parents=True, exist_ok=True)
            known = zip(ADDRESSES, self.names, strict=True)
            (folder / "hosts").write_text("".join(f"{a} {n}\n" for a, n in known))
        a, b = self.names
        _ip("link", "add", self.ends[0], "netns", a, "type", "veth",
            "peer", "name", self.ends[1], "netns", b)  # fmt: skip
        for name, end, address in zip(self.names, self.ends, ADDRESSES, strict=True):
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            for link in ("lo", end):
                _ip("-n", name, "link", "set", link, "up")

    def remove(self) -> None:
        """All of it."""
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def two_hosts() -> Iterator[Hosts]:
    """Two hosts until the end of the block.

    Raises:
      OSError, subprocess.CalledProcessError: this machine does not allow it.
    """
    hosts = Hosts()
    try:
        hosts.make()
        yield hosts
    finally:
        hosts.remove()
