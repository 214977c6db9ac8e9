"""Run by test_killed.py: makes one share of the parts, saying which pictures it embeds, until it is done or killed.

python -m tests.embedding.killed MANIFEST OUT NUMBER TOTAL
"""

import sys
import time

import numpy as np
from numpy.typing import NDArray
from tests.embedding.drawn import Mean

from reseen.embedding.making import PartOptions, Share, make_parts
from reseen.embedding.manifest import ParquetManifest
from reseen.storage import StorageFolder


class Slow(Mean):
    """Takes a moment for each batch, and says what it was given."""

    def vectors(self, *arguments, **named) -> NDArray[np.float32]:
        time.sleep(0.005)
        found = super().vectors(*arguments, **named)
        print(*self.batches[-1], flush=True)
        return found


manifest, out, number, total = sys.argv[1:]
source, share = ParquetManifest(manifest), Share(int(number), int(total))
print("begun", flush=True)
make_parts(StorageFolder(out), source, Slow(), PartOptions(part_rows=20, batch_size=5), share=share, workers=1)
print("done", flush=True)
