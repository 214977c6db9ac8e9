"""ASGI middleware, outermost first: `ObservabilityMiddleware`, `HostsMiddleware`, `LimitsMiddleware`."""

from reseen.serving.middleware.hosts import HostsMiddleware, allowed_names, is_loopback
from reseen.serving.middleware.limits import LimitsMiddleware
from reseen.serving.middleware.observability import Metrics, ObservabilityMiddleware

__all__ = ["HostsMiddleware", "LimitsMiddleware", "Metrics", "ObservabilityMiddleware", "allowed_names", "is_loopback"]
