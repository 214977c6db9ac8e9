"""Layers that networks are built from: pooling, necks, norms and attention."""
