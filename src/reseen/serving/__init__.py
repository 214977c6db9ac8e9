"""A server and a page for a gallery: search by picture over HTTP."""

from reseen.serving.app import create_app
from reseen.serving.limits import Limits
from reseen.serving.server import listen, run

__all__ = ["Limits", "create_app", "listen", "run"]
