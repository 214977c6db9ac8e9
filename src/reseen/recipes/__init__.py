"""Recipes: YAML files, one per run of a paper's table, and the published figures they aim at.

``reseen train --config market1501/adasp_mgn --data.root X`` needs nothing else on a machine with the data.
"""

from reseen.recipes.files import FOLDER, about, names, path_of, settings_of
from reseen.recipes.published_rows import Published, published, published_data

__all__ = ["FOLDER", "Published", "about", "names", "path_of", "published", "published_data", "settings_of"]
