"""Middleware that answers only to the server's own names and pages."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from reseen.serving.auth import OPEN_PATHS
from reseen.serving.errors import RefusedError, error_response
from reseen.serving.middleware.limits import route_path

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class HostsMiddleware:
    """Refuses requests to a foreign host name (DNS rebinding) and from another site's page (CSRF).

    Args:
        app: What is guarded.
        names: Host names by which the server may be called, in lower case; None for any. An address is always allowed:
            a page can make a name of its own point here, but not an address.
    """

    def __init__(self, app: ASGIApp, *, names: frozenset[str] | None) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and (error := self.check(scope)):
            await error_response(error.status, error.sentence)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def check(self, scope: Scope) -> RefusedError | None:
        """Return what is wrong with a request's origin."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        if self.names is not None and name not in self.names and not is_ip_address(name):
            return RefusedError(421, "Expected a request to this server's own name; `reseen serve --names` adds one.")
        if route_path(scope) in OPEN_PATHS:
            return None
        # Browsers send the first to https and loopback only, the second with everything that can change something.
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if foreign or any(origin.lower().partition("://")[2] != host for origin in headers.getlist("origin")):
            return RefusedError(403, "Expected a request from the server's own page, got one from another site's.")
        return None


def allowed_names(host: str, names: Iterable[str] = ()) -> frozenset[str]:
    """Return the host names by which a server on an address may be called: its own, loopback's and further ones."""
    own = LOOPBACK | {host, *names}
    return frozenset(name.lower() for name in (own if is_loopback(host) else own | {socket.gethostname()}))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_ip_address(name: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
