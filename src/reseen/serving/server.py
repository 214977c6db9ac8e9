"""The server's process: from its first request to an end that loses nothing it has accepted."""

from __future__ import annotations

import contextlib
import ipaddress
import signal

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def run(app: ASGIApp, *, host: str = "127.0.0.1", port: int = 8000) -> None:
    """Serve until SIGTERM or Ctrl-C; then take no more, answer what has been accepted, and return.

    Args:
        app: What `create_app` returned.
        host: The address to listen on; another than loopback lets other machines in.
        port: As it says.
    """
    config = uvicorn.Config(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
    # Once it has ended in good order, uvicorn raises the signal anew; the caller still has a gallery to close.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run()
    finally:
        signal.signal(signal.SIGTERM, before)


def names(host: str) -> frozenset[str] | None:
    """Return the names by which a server on this address may be called; None for any."""
    return LOOPBACK if is_loopback(host) else None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
