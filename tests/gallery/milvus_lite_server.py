"""Milvus Lite's server in a process of its own."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextlib.contextmanager
def lite_server(
    folder: Path, port: int | None = None, *, workers: int = 1
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the server until the end of the block; gives its address and its process."""
    port = port or free_port()
    words = ["--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--max-workers", str(workers)]
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "milvus_lite", "server", *words], stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield f"127.0.0.1:{port}", process
    finally:
        process.kill()
        process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Wait until a server takes connections."""
    for _ in range(int(10 * seconds)):  # and not by the clock, which goes on while this process is stopped
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"no server listens on port {port}")
