"""Run by test_killed.py: adds and deletes for ever, saying what was acknowledged, until it is killed.

python killed.py FOLDER SEED
"""

import sys

import numpy as np

from reseen.gallery import Gallery

folder, seed = sys.argv[1], int(sys.argv[2])
generator = np.random.default_rng(seed)
gallery = Gallery(folder, "model", approximate_above=400)
held: list[str] = []
print("open", flush=True)
while True:
    number = int(generator.integers(1, 200))
    vectors = generator.normal(size=(number, 8)).astype(np.float32)
    print("adding", *(names := [f"{seed}-{generator.integers(2**62)}" for _ in range(number)]), flush=True)
    ids = gallery.add(vectors, sources=names, identities=names).ids
    print("added", *ids, flush=True)
    held += ids
    gone = [
        held.pop(int(generator.integers(len(held)))) for _ in range(min(len(held), int(generator.integers(1, 100))))
    ]
    print("deleting", *gone, flush=True)
    gallery.delete(gone)
    print("deleted", *gone, flush=True)
    if generator.random() < 0.2:
        gallery.compact()
