"""Answers of a person who knows: how many until the groups of `discover` are the truth, by worth or at random.

``python -m benchmarks answers --weights FILE [--root FOLDER] [--height 256 --width 128]`` takes the training pictures
of `Folder`, or of `Synthetic` where no folder is given, of several draws of identities. Twenty answers are given at
a time, then the pictures are grouped again. Without flags: drawn vectors.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from benchmarks.memory import verdict

from reseen.datasets import Folder, Synthetic
from reseen.discovery import Clustering, Links, Question, discover
from reseen.discovery.agreement import agreement, alone
from reseen.embedding.model import embed
from reseen.models import Embedder, ModelSpec
from reseen.types import Embeddings

GOALS = (0.8, 0.9, 0.95, 1.0)
AT_ONCE = 20


def reached(seen: Embeddings, options: Clustering, *, random: bool, most: int) -> dict[float, int]:
    """Return after how many answers the adjusted Rand index first reached each goal, to 0.95 only at random.

    Under -1 stands how many answers were given in all.
    """
    last = 0.95 if random else 1.0
    truth = [repr(who) for who in seen.identities]
    links, count, generator = Links.none(), 0, np.random.default_rng(0)
    when: dict[float, int] = {}
    while True:
        found = discover(seen, options, links=links)
        ari = agreement(truth, alone(found.clusters.labels)).ari
        when |= {goal: count for goal in GOALS if ari >= goal and goal not in when}
        if last in when or not found.questions or count >= most:
            return when | {-1: count}
        order = generator.permutation(len(found.questions)) if random else range(len(found.questions))
        asked = [found.questions[place] for place in order[:AT_ONCE]]
        links, count = links.then(answered(asked, seen)), count + len(asked)


def answered(asked: Sequence[Question], seen: Embeddings) -> Links:
    """Return true answers."""
    pairs: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
    for question in asked:
        same = bool(seen.identities[question.first] == seen.identities[question.second])
        pairs[same].append((question.first, question.second))
    return Links(*(np.array(pairs[same], np.int64).reshape(-1, 2) for same in (True, False)))


def drawn_vectors(seed: int) -> Embeddings:
    """Return vectors of 12 people, ten by two cameras that each add something of their own."""
    generator = np.random.default_rng(seed)
    who, camera = np.arange(120) % 12, np.arange(120) // 12 % 2
    vectors = generator.standard_normal((12, 32))[who] + 2.5 * generator.standard_normal((2, 32))[camera]
    vectors += 1.2 * generator.standard_normal((120, 32))
    return Embeddings(torch.from_numpy(vectors), who, cameras=camera)


def draws(given: argparse.Namespace) -> Iterator[Embeddings]:
    model = Embedder(ModelSpec(backbone=given.backbone, height=given.height, width=given.width, weights=given.weights))
    for seed in range(given.draws):
        data = (
            Synthetic(num_train_identities=40, seed=seed)
            if given.root is None
            else Folder(given.root, pattern=given.pattern, test_identities=given.test_identities, seed=seed)
        )
        yield embed(model.eval(), data.train)


def main(flags: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser("python -m benchmarks answers")
    parser.add_argument("--weights")
    parser.add_argument("--backbone", default="osnet_x0_25")
    parser.add_argument("--root")
    parser.add_argument("--pattern", default=r"(?P<identity>\d+)_(?P<camera>\d+)_")
    parser.add_argument("--test-identities", type=int, default=14)
    parser.add_argument("--height", type=int, default=128)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--most", type=int, default=2600)
    given = parser.parse_args(flags)
    quick = given.weights is None
    options = Clustering(k1=8, k2=3) if quick else Clustering()
    print(f"{'draw':>4} {'order':10} " + " ".join(f"{goal:>8}" for goal in GOALS) + "   answers in all")
    by_worth = at_random = 0
    for number, seen in enumerate(map(drawn_vectors, range(given.draws)) if quick else draws(given)):
        count = {}
        for random in (False, True):
            when = count[random] = reached(seen, options, random=random, most=given.most)
            row = " ".join(f"{when.get(goal, '-'):>8}" for goal in GOALS)
            print(f"{number:4} {'at random' if random else 'by worth':10} {row}   {when[-1]}", flush=True)
        by_worth += count[False].get(0.95, count[False][-1])
        at_random += count[True].get(0.95, count[True][-1])
    verdict("answers to 0.95 over those at random", by_worth / max(1, at_random), most=0.5)


if __name__ == "__main__":
    main()
