"""Re-ranking and expansion: from two sets of embeddings to better scores, or to better vectors."""

from reseen.evaluation.reranking.expansion import alpha_query_expansion, average_query_expansion, database_augmentation
from reseen.evaluation.reranking.jaccard import k_reciprocal

__all__ = ["alpha_query_expansion", "average_query_expansion", "database_augmentation", "k_reciprocal"]
