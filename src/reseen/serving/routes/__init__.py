"""Routers: `search` reads the gallery, `items` reads and writes single items."""
