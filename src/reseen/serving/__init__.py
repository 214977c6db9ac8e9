"""HTTP server and page of a gallery: search by picture."""

from reseen.serving.app import create_app
from reseen.serving.middleware import allowed_names
from reseen.serving.server import check_certificate, listen, run
from reseen.serving.settings import Limits

__all__ = ["Limits", "allowed_names", "check_certificate", "create_app", "listen", "run"]
