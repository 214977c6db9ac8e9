"""The server's process: from its first request to an end that loses nothing it has accepted."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from PIL import Image
from starlette.types import ASGIApp

from reseen.errors import ReseenError
from reseen.serving import connections
from reseen.serving.settings import DEFAULT_LIMITS, Limits

LOGGERS = ("uvicorn.error", "asyncio", "reseen.serving.connections", "reseen.serving.errors")
"""Loggers of what clients without a token can cause."""


def listen(host: str = "127.0.0.1", port: int = 8000) -> socket.socket:
    """Return a socket that clients can reach from now on.

    Args:
        host: The address to listen on; another than loopback lets other machines in.
        port: 0 picks a free one.

    Raises:
        ReseenError: The address is not this machine's, or the port is taken.
    """
    if not 0 <= port < 2**16:
        raise ReseenError(f"expected a port of 0 to 65535, got {port}; choose another")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]  # Python says the address too.
        raise ReseenError(f"expected to listen on {host}, port {port}, got: {reason}; choose another") from None


def check_certificate(certificate: Path, key: Path | None) -> None:
    """Check that a TLS certificate can be served.

    Args:
        certificate: A PEM file: the certificate and those between it and a known authority.
        key: A PEM file with its private key, without a password; None if the certificate's file holds it.

    Raises:
        ReseenError: A file is missing or no such file, or the two do not belong together.
    """
    try:
        # An empty password fails where one is wanted; without, OpenSSL would ask for it on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        files = f"{certificate}" if key is None else f"{certificate} and {key}"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ReseenError(
            f"expected a PEM certificate and its key without a password in {files}, got: {reason}; see docs/serving.md"
        ) from None


def make_server(
    app: ASGIApp,
    listening: socket.socket,
    *,
    limits: Limits = DEFAULT_LIMITS,
    root_path: str = "",
    certificate: Path | None = None,
    key: Path | None = None,
) -> tuple[uvicorn.Server, socket.socket]:
    """Return uvicorn's server, and the socket to run it on; the arguments are those of `run`."""
    bound = limits.num_connections or connections.max_connections()
    listener = connections.Listener(listening, bound)
    config = uvicorn.Config(
        app,
        loop="asyncio",  # Another event loop would go past the listener's bound.
        http=connections.protocol(listener, limits.header_seconds),
        ws="none",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        root_path=root_path,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    return uvicorn.Server(config), listener


def run(
    app: ASGIApp,
    listening: socket.socket,
    *,
    limits: Limits = DEFAULT_LIMITS,
    root_path: str = "",
    certificate: Path | None = None,
    key: Path | None = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C; then take no more, answer what has been accepted, and return.

    Args:
        app: What `create_app` returned.
        listening: What `listen` returned; is closed.
        limits: Of connections.
        root_path: Prefix of the addresses, which a proxy in front takes off: ``/reseen``.
        certificate: PEM file for TLS; None serves plain HTTP.
        key: PEM file of the certificate's private key, where it is not in the same file.
    """
    # Too large a picture is refused by its size; Pillow need not warn of it in the server's log.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    server, listener = make_server(app, listening, limits=limits, root_path=root_path, certificate=certificate, key=key)
    # Once it has ended in good order, uvicorn raises the signal anew; the caller still has a gallery to close.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt), bounded_log():
            server.run(sockets=[listener])
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def bounded_log() -> Iterator[None]:
    """Let each message that clients can cause into the log once a minute."""
    once = connections.OncePerMinute()
    for name in LOGGERS:
        logging.getLogger(name).addFilter(once)
    try:
        yield
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(once)
