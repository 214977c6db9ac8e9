"""Discovery: unlabelled pictures, grouped into individuals, with the most valuable questions to a person."""

from reseen.discovery.agreement import Agreement
from reseen.discovery.clustering import Clustering, Clusters, RadiusTrial, cluster
from reseen.discovery.individuals import Individuals, discover, group, without_camera_means
from reseen.discovery.links import Links, pair_links, sample_links, track_links
from reseen.discovery.questions import Question

__all__ = [
    "Agreement",
    "Clustering",
    "Clusters",
    "Individuals",
    "Links",
    "Question",
    "RadiusTrial",
    "cluster",
    "discover",
    "group",
    "pair_links",
    "sample_links",
    "track_links",
    "without_camera_means",
]
