"""Draws what `reseen.datasets.Synthetic` shows: walking people and vehicles, as several cameras see them."""
