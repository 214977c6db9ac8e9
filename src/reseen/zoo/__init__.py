"""Published models by name: what is known of each, and its files, fetched when they are asked for. Needs no torch."""

from reseen.zoo.catalogue import DEFAULT, Entry, Figure, entries, entry, fetch_entry, find, near
from reseen.zoo.fetching import fetch, fetch_from_hub, fetch_own, is_address, is_hub_address, web_address

__all__ = [
    "DEFAULT",
    "Entry",
    "Figure",
    "entries",
    "entry",
    "fetch",
    "fetch_entry",
    "fetch_from_hub",
    "fetch_own",
    "find",
    "is_address",
    "is_hub_address",
    "near",
    "web_address",
]
