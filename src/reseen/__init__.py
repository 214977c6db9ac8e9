"""reseen."""
