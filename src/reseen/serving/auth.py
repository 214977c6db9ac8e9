"""Authentication by bearer tokens, as dependencies that OpenAPI describes."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from reseen.serving.errors import RefusedError

OPEN_PATHS = frozenset({"/", "/page.css", "/page.js", "/health", "/live", "/openapi.json"})
"""Addresses without authentication: the page itself, which holds no data, and whether the server is well."""


class BearerToken(HTTPBearer):
    """Dependency that lets a request pass by its ``Authorization: Bearer TOKEN``, before its body is read.

    Args:
        accepted: Tokens that are let in.
        other: Further tokens of this server, that may be used elsewhere: they get 403 in place of 401.
    """

    def __init__(self, accepted: Sequence[str], other: Sequence[str] = ()) -> None:
        super().__init__(scheme_name="token", auto_error=False)
        self._accepted = [f"Bearer {token}".encode() for token in accepted]
        self._other = [f"Bearer {token}".encode() for token in other]

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        """Check a request.

        Raises:
            RefusedError: It has no token of this server (401), or one that may only read (403).
        """
        self.check(request)
        return None

    def check(self, request: HTTPConnection) -> None:
        """Check a request, as above."""
        header = request.headers.get("authorization", "").encode("latin-1")
        accepted, other = is_among(header, self._accepted), is_among(header, self._other)
        if other and not accepted:
            raise RefusedError(403, "Expected the token that may write; this one may only read.")
        if not accepted:
            raise RefusedError(401, "Expected the server's token as 'Authorization: Bearer TOKEN'.")


def is_among(header: bytes, tokens: Sequence[bytes]) -> bool:
    """Return whether a header is one of some, in a time that says nothing about them."""
    return sum(secrets.compare_digest(header, token) for token in tokens) > 0
