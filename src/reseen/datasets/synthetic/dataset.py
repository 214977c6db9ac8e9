"""The built-in data set: people or vehicles drawn on demand, as several cameras see them. No files."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.datasets.synthetic.cameras import Modality, SyntheticCamera, new_camera
from reseen.datasets.synthetic.latents import Latents, new_latents
from reseen.datasets.synthetic.scenes import Subject, new_subject, new_twin, picture
from reseen.protocols import DrawnShots, cross_camera, drawn_gallery
from reseen.types import Benchmark, ObjectKind, Protocol, Sample

IDENTITY, CAMERA, TRACK = range(3)  # one stream of random numbers for each


class Synthetic(Benchmark):
    """People (or vehicles) drawn on demand: every picture follows from the seed, whichever is asked for first.

    Training and test identities differ, cameras are the same. Each identity passes every camera once and is taken
    ``images_per_camera`` times; the first picture of a test identity under a camera is a query, the rest are the
    gallery. With both modalities, every third camera is a thermal one (as 3 and 6 of SYSU-MM01), its pictures are the
    queries and the visible ones the gallery; the four settings of SYSU-MM01 are measured too: all visible cameras or
    the indoor ones, a picture of an identity under each or half of them. The first half of the cameras hangs indoors.

    Args:
        kind: What is drawn.
        num_train_identities: Identities to train on.
        num_test_identities: Other identities, to search for.
        num_cameras: Cameras, numbered from 1.
        images_per_camera: Pictures of each identity under each camera.
        height: Of the pictures, in pixels.
        width: Of the pictures; None for half the height (persons) or the height (vehicles).
        intra_variation: How much pictures of one identity differ in viewpoint, pose, place and light; 0 for hardly at
            all, 1 as in street cameras, 2 for twice as much.
        look_alikes: Share of the identities that come in pairs which differ in one small thing only: the bag, the
            shoes, the hat or a stripe.
        modality: "visible", "infrared" (thermal) or "both".
        occlusion: Share of the pictures on which something hides a part.
        seed: Of everything.

    Attributes:
        cameras: By number: whether it is indoors, its viewpoint, its colours.

    Raises:
        ValueError: A number is out of range.
    """

    cameras: dict[int, SyntheticCamera]

    def __init__(
        self,
        kind: Literal["person", "vehicle"] = "person",
        *,
        num_train_identities: int = 100,
        num_test_identities: int = 50,
        num_cameras: int = 4,
        images_per_camera: int = 4,
        height: int = 128,
        width: int | None = None,
        intra_variation: float = 1.0,
        look_alikes: float = 0.1,
        modality: Literal["visible", "infrared", "both"] = "visible",
        occlusion: float = 0.1,
        seed: int = 0,
    ) -> None:
        for name, value, least in (
            ("num_train_identities", num_train_identities, 0),
            ("num_test_identities", num_test_identities, 0),
            ("num_cameras", num_cameras, 3 if modality == "both" else 1),
            ("images_per_camera", images_per_camera, 2),
            ("height", height, 16),
            ("width", width if width is not None else height, 8),
            ("intra_variation", intra_variation, 0),
            ("seed", seed, 0),
        ):
            if not value >= least:
                raise ValueError(f"expected {name} of {least} or more, got {value}")
        for name, share in (("look_alikes", look_alikes), ("occlusion", occlusion)):
            if not 0 <= share <= 1:
                raise ValueError(f"expected {name} from 0 to 1, got {share}")
        if width is None:
            width = height // 2 if kind == "person" else height
        look = Look(kind, seed, height, width, intra_variation, occlusion)
        cameras = {n: camera_of(seed, n, 2 * n <= num_cameras) for n in range(1, num_cameras + 1)}

        def drawings(first: int, count: int) -> list[Drawing]:
            num_paired = 2 * round(look_alikes * count / 2)
            return [
                Drawing(look, identity, twin, camera.number, camera.indoor, index, sensed)
                for identity in range(first, first + count)
                for twin in [identity - 1 if identity - first < num_paired and (identity - first) % 2 else None]
                for camera in cameras.values()
                for sensed in [sensor(camera.number) if modality == "both" else modality]
                for index in range(images_per_camera)
            ]

        def asks(drawing: Drawing) -> bool:
            return drawing.modality == "infrared" if modality == "both" else drawing.index == 0

        test = drawings(num_train_identities, num_test_identities)
        name = f"Synthetic {kind} {modality}"
        query = tuple(drawing.sample() for drawing in test if asks(drawing))
        gallery = tuple(drawing.sample() for drawing in test if not asks(drawing))
        settings = infrared_searches(cameras.values(), images_per_camera) if modality == "both" else []
        super().__init__(
            name=name,
            train=tuple(drawing.sample() for drawing in drawings(0, num_train_identities)),
            query=query,
            gallery=gallery,
            protocol=cross_camera,
            further=tuple(Benchmark(name, (), query, gallery, protocol) for protocol in settings),
        )
        self.cameras = cameras
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Look:
    """Parameters of a `Synthetic` that all of its pictures share; see there."""

    kind: ObjectKind
    seed: int
    height: int
    width: int
    intra_variation: float
    occlusion: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """Callable that draws the picture of a sample of `Synthetic`.

    Attributes:
        look: What it shares with all others.
        identity: Who is on it.
        twin: Whom this identity looks like but for one small thing, or None.
        camera: The camera's number.
        indoor: Where it hangs.
        index: Of the picture in the identity's walk past the camera.
        modality: What the camera senses.
    """

    look: Look
    identity: int
    twin: int | None
    camera: int
    indoor: bool
    index: int
    modality: Modality

    @property
    def latents(self) -> Latents:
        """What differs between this picture and others of the same identity."""
        return new_latents(
            camera_of(self.look.seed, self.camera, self.indoor),
            track=(self.look.seed, TRACK, self.identity, self.camera),
            index=self.index,
            variation=self.look.intra_variation,
            occlusion=self.look.occlusion,
        )

    def sample(self) -> Sample:
        """Return the sample of this picture."""
        name = f"{self.look.kind}_{self.identity:04d}_c{self.camera}_{self.index:02d}.png"
        return Sample(name, self.identity, camera=self.camera, modality=self.modality, draw=self)

    def __call__(self) -> NDArray[np.uint8]:
        """Return the picture (H, W, 3)."""
        return picture(
            subject_of(self.look.kind, self.look.seed, self.identity, self.twin),
            camera_of(self.look.seed, self.camera, self.indoor),
            self.latents,
            height=self.look.height,
            width=self.look.width,
            modality=self.modality,
        )


def infrared_searches(cameras: Iterable[SyntheticCamera], images_per_camera: int) -> list[Protocol]:
    """Return the four settings of SYSU-MM01, with these cameras for its own."""
    visible = [camera for camera in cameras if sensor(camera.number) == "visible"]
    searched = {"all": visible, "indoor": [camera for camera in visible if camera.indoor]}
    return [
        drawn_gallery(
            f"synthetic, {search} search, {kind} shot", DrawnShots(tuple(camera.number for camera in among), shots)
        )
        for search, among in searched.items()
        for kind, shots in (("single", 1), ("multi", max(2, images_per_camera // 2)))
    ]


def sensor(camera: int) -> Modality:
    """Return what a camera senses where there are both kinds: 3 and 6 are thermal, as in SYSU-MM01."""
    return "infrared" if camera % 3 == 0 else "visible"


def latents(sample: Sample) -> Latents:
    """Return what differs between a picture of `Synthetic` and others of the same identity; see `shared_surface`.

    Raises:
        ValueError: The sample is not of `Synthetic`.
    """
    if not isinstance(sample.draw, Drawing):
        raise ValueError(f"expected a sample of Synthetic, got {sample.path}")
    return sample.draw.latents


@functools.lru_cache(maxsize=65536)
def subject_of(kind: ObjectKind, seed: int, identity: int, twin: int | None) -> Subject:
    """Return the person or vehicle of an identity."""
    rng = np.random.default_rng((seed, IDENTITY, identity))
    return new_subject(kind, rng) if twin is None else new_twin(subject_of(kind, seed, twin, None), rng)


@functools.lru_cache(maxsize=4096)
def camera_of(seed: int, number: int, indoor: bool) -> SyntheticCamera:
    """Return the camera of a number."""
    return new_camera(number, seed=(seed, CAMERA, number), indoor=indoor)
