"""Embedding: encoders of pictures, embeddings of samples in memory, and parts on the disk. Importing it needs no torch.

``embedding.encoder`` opens a trained or an exported model, ``embedding.model`` (with torch) embeds samples in memory,
``embedding.parts`` keeps vectors on the disk.
"""

from reseen.embedding.encoder import Encoder, OnnxEncoder, TorchEncoder, load
from reseen.embedding.parts import open_embeddings

__all__ = ["Encoder", "OnnxEncoder", "TorchEncoder", "load", "open_embeddings"]
