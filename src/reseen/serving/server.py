"""The server's process: from its first request to an end that loses nothing it has accepted."""

from __future__ import annotations

import contextlib
import ipaddress
import signal
import socket
import warnings

import uvicorn
from PIL import Image
from starlette.types import ASGIApp

from reseen.errors import ReseenError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


def listen(host: str = "127.0.0.1", port: int = 8000) -> socket.socket:
    """Return a socket that clients can reach from now on.

    Args:
        host: The address to listen on; another than loopback lets other machines in.
        port: 0 for any that is free.

    Raises:
        ReseenError: The address is not this machine's, or the port is taken.
    """
    if not 0 <= port < 2**16:
        raise ReseenError(f"expected a port of 0 to 65535, got {port}; choose another")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        found = str(error.strerror or error).partition(" (while")[0]  # Python says the address too.
        raise ReseenError(f"expected to listen on {host}, port {port}, got: {found}; choose another") from None


def run(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C; then take no more, answer what has been accepted, and return.

    Args:
        app: What `create_app` returned.
        listening: What `listen` returned; is closed.
    """
    # Too large a picture is refused by its size; Pillow need not warn of it in the server's log.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, proxy_headers=False)
    # Once it has ended in good order, uvicorn raises the signal anew; the caller still has a gallery to close.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


def names(host: str) -> frozenset[str] | None:
    """Return the names by which a server on this address may be called; None for any."""
    return LOOPBACK | {host} if is_loopback(host) else None


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
