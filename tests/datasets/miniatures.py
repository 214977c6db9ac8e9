"""Each data set's layout in miniature, odd files included, under an empty folder."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat


def picture(path: Path) -> None:
    """Write a tiny picture, another one for every path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(zlib.crc32(str(path).encode())).integers(0, 256, (8, 4, 3), dtype=np.uint8)
    with path.open("wb") as file:  # a file, not a path, since Pillow balks at .jpg.jpg in capitals
        Image.fromarray(pixels).save(file, "BMP" if path.suffix.lower() == ".bmp" else "JPEG")


def pictures(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        picture(folder / name)


def odd(folder: Path) -> None:
    """Write what file managers leave behind."""
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / ".DS_Store").write_bytes(b"Bud1")
    (folder / "._0001_c1s1_000000_00.jpg").write_bytes(b"Mac OS X")


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n\n", encoding="utf-8")


def table(root: Path) -> dict[str, Any]:
    rows = ["path,identity,camera,split"]
    for identity in range(4):
        for camera in ("east", "west"):
            for k in range(2):
                name = f"pictures/{identity}_{camera}_{k}.jpg"
                split = "train" if identity < 2 else ("query" if k == 0 else "gallery")
                picture(root / name)
                rows.append(f"{name},{identity:04d},{camera},{split}")
    lines(root / "animals.csv", *rows)
    return {"path": root / "animals.csv"}


def folder(root: Path) -> dict[str, Any]:
    for identity in range(5):
        pictures(root / f"cow_{identity}", [f"{k}.jpg" for k in range(3)])
    odd(root / "cow_0")
    return {"root": root, "test_identities": 2}


def market_like(root: Path, *, cameras: tuple[int, int] = (1, 3)) -> None:
    """Write the three folders: two identities to train on, two to test on, a distractor and junk."""
    first, second = cameras
    pictures(
        root / "bounding_box_train",
        ["0002_c1s1_000451_03.jpg", "0002_c2s1_000301_01.JPG", "0007_c1s1_000001_01.jpg", "0007_c3s3_1_1.jpg.jpg"],
    )
    pictures(root / "query", [f"0001_c{first}s1_001051_00.jpg", f"0003_c{second}s1_000551_00.jpg"])
    pictures(
        root / "bounding_box_test",
        [
            f"0001_c{first}s1_002301_02.jpg",
            f"0001_c{second}s3_017462_02.jpg",
            f"0003_c{first}s1_000126_01.jpg",
            f"0000_c{first}s1_000151_01.jpg",
            f"-1_c{second}s1_000401_03.jpg",
        ],
    )
    odd(root / "bounding_box_train")


def market(root: Path) -> dict[str, Any]:
    market_like(root / "Market-1501-v15.09.15")
    return {"root": root}


def duke(root: Path) -> dict[str, Any]:
    market_like(root / "DukeMTMC-reID", cameras=(2, 8))
    return {"root": root}


def occluded_duke(root: Path) -> dict[str, Any]:
    market_like(root / "Occluded_Duke", cameras=(2, 8))
    return {"root": root}


def cuhk03_np(root: Path) -> dict[str, Any]:
    for boxes in ("labeled", "detected"):
        market_like(root / "cuhk03-np" / boxes, cameras=(1, 2))
    return {"root": root, "boxes": "detected"}


CUHK03_PERSONS = (3, 2, 1, 1, 1)  # of each pair of cameras
CUHK03_MISSING = {(1, 1, 10), (2, 2, 4)}  # (pair, person, picture)


def cuhk03_pixels(boxes: str, pair: int, person: int, k: int) -> np.ndarray:
    seed = (boxes == "detected", pair, person, k)
    return np.random.default_rng(seed).integers(0, 256, (6 + k, 4, 3), dtype=np.uint8)


def cuhk03_release(root: Path) -> dict[str, Any]:
    """Write cuhk-03.mat as MATLAB does: cells of references, columns first, and the new protocol's configurations."""
    path = root / "cuhk03_release" / "cuhk-03.mat"
    path.parent.mkdir(parents=True)
    names = []
    with h5py.File(path, "w") as file:
        held = file.create_group("#refs#")

        def hold(value: np.ndarray) -> h5py.Reference:
            return held.create_dataset(f"r{len(held)}", data=value).ref

        for boxes in ("labeled", "detected"):
            pairs = []
            for pair, persons in enumerate(CUHK03_PERSONS, start=1):
                cell = np.empty((10, persons), dtype=h5py.ref_dtype)
                for person in range(1, persons + 1):
                    for k in range(1, 11):
                        there = (pair, person, k) not in CUHK03_MISSING
                        # MATLAB marks an empty cell by its size.
                        value = cuhk03_pixels(boxes, pair, person, k).T if there else np.zeros(2, dtype=np.uint64)
                        cell[k - 1, person - 1] = hold(value)
                        if boxes == "labeled" and there:
                            names.append(f"{pair}_{person:03d}_{1 if k <= 5 else 2}_{k:02d}.png")
                pairs.append(hold(cell) if cell.size else None)
            file[boxes] = np.array([pairs], dtype=h5py.ref_dtype)
        tests = [hold(np.array([[1, 1], [5, 1]], dtype=np.float64).T), hold(np.array([[2.0, 1.0], [1, 3]]).T)]
        file["testsets"] = np.array([tests * 10], dtype=h5py.ref_dtype)
    # The published lists are in no order that helps.
    names = [names[i] for i in np.random.default_rng(0).permutation(len(names))]
    persons = sorted({name[:5] for name in names})
    labels = np.array([persons.index(name[:5]) + 1 for name in names])
    kind = np.array(
        [
            ("train", "query", "gallery")[0 if label <= 4 else 1 + (int(n[8:10]) % 5 > 0)]
            for label, n in zip(labels, names, strict=True)
        ]
    )
    for boxes in ("labeled", "detected"):
        savemat(
            root / f"cuhk03_new_protocol_config_{boxes}.mat",
            {
                "filelist": np.array(names, dtype=object)[:, None],
                "labels": labels[:, None],
                **{f"{part}_idx": np.flatnonzero(kind == part)[:, None] + 1 for part in ("train", "query", "gallery")},
            },
        )
    return {"root": root}


def msmt17(root: Path, *, version: str = "V1", top: str = "MSMT17_V1") -> dict[str, Any]:
    train, test = {"V1": ("train", "test"), "V2": ("mask_train_v2", "mask_test_v2")}[version]
    base = root / top

    def write(part: str, folder: str, names: list[str]) -> None:
        pictures(base / folder, names)
        lines(base / f"list_{part}.txt", *(f"{name} {int(name[:4])}" for name in names))

    write("train", train, ["0000/0000_000_01_0303morning_0015_0.jpg", "0001/0001_001_15_0303noon_0020_1.jpg"])
    write("val", train, ["0000/0000_002_14_0303morning_0018_0.jpg"])
    write("query", test, ["0000/0000_000_05_0303noon_0010_0.jpg", "0001/0001_000_06_0303noon_0011_0.jpg"])
    write(
        "gallery",
        test,
        [
            "0000/0000_001_05_0303noon_0012_0.jpg",
            "0000/0000_002_07_0303noon_0013_0.jpg",
            "0001/0001_001_08_0303noon_0014_0.jpg",
        ],
    )
    return {"root": root}


def veri776(root: Path) -> dict[str, Any]:
    base = root / "VeRi"
    pictures(base / "image_train", ["0001_c001_00016450_0.jpg", "0003_c020_00016460_0.jpg", "0001_c002_00016470_0.JPG"])
    query = ["0002_c002_00030600_0.jpg", "0005_c003_00084280_0.jpg"]
    others = ["0002_c002_00030605_1.jpg", "0002_c004_00035555_0.jpg", "0005_c010_00044340_0.jpg"]
    pictures(base / "image_query", query)
    pictures(base / "image_test", query + others)
    odd(base / "image_test")
    lines(
        base / "test_track.txt",
        "0002_c002_00030600_0.jpg 0002_c002_00030605_1.jpg ",
        "0002_c004_00035555_0.jpg",
        "0005_c003_00084280_0.jpg",
        "0005_c010_00044340_0.jpg",
    )
    return {"root": root}


def vehicleid(root: Path) -> dict[str, Any]:
    base = root / "VehicleID_V1.0"
    train = [("0000001", 10), ("0000002", 10), ("0000003", 11), ("0000004", 11)]
    test = [("0000011", 20), ("0000012", 20), ("0000013", 20), ("0000014", 21), ("0000015", 21), ("0000016", 22)]
    pictures(base / "image", [f"{name}.jpg" for name, _ in train + test])
    odd(base / "image")
    lines(base / "train_test_split" / "train_list.txt", *(f"{name} {identity}" for name, identity in train))
    for size in (800, 1600, 2400, 3200, 6000, 13164):
        lines(base / "train_test_split" / f"test_list_{size}.txt", *(f"{name} {identity}" for name, identity in test))
    return {"root": root}


def veriwild(root: Path, *, extension: str = ".jpg") -> dict[str, Any]:
    base = root / "VERI-Wild"
    parts = {
        "train_list": [("00001", "000001", 1), ("00001", "000002", 2), ("00004", "000003", 174)],
        "query": [("00002", "000010", 3), ("00003", "000011", 4)],
        "": [("00002", "000012", 3), ("00002", "000013", 9), ("00003", "000014", 5)],
    }
    info = ["id/image;Camera ID;Time;Model;Type;Color"]
    for part, rows in parts.items():
        pictures(base / "images", [f"{vehicle}/{name}.jpg" for vehicle, name, _ in rows])
        info += [f"{v}/{name};{camera};2018-03-03 08:00:00;Audi;SUV;white" for v, name, camera in rows]
        sizes = [""] if part == "train_list" else ["test_3000", "test_5000", "test_10000"]
        for size in sizes:
            name = "_".join(word for word in (size, part) if word)
            lines(base / "train_test_split" / f"{name}.txt", *(f"{v}/{n}{extension}" for v, n, _ in rows))
    lines(base / "train_test_split" / "vehicle_info.txt", *info)
    return {"root": root}


SYSU_IDS = {"train_id": [1, 4], "val_id": [5], "test_id": [6, 9], "available_id": [1, 4, 5, 6, 9]}
SYSU_COUNTS = {(person, camera): 3 + (person + camera) % 4 for person in (1, 4, 5, 6, 9) for camera in range(1, 7)}
del SYSU_COUNTS[9, 2]  # not everyone passes every camera


def sysumm01(root: Path, *, permutations: bool = False) -> dict[str, Any]:
    base = root / "SYSU-MM01"
    for (person, camera), count in SYSU_COUNTS.items():
        pictures(base / f"cam{camera}" / f"{person:04d}", [f"{k:04d}.jpg" for k in range(1, count + 1)])
    odd(base / "cam1" / "0001")
    for name, ids in SYSU_IDS.items():
        lines(base / "exp" / f"{name}.txt", ",".join(map(str, ids)))
    if permutations:
        savemat(base / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": sysu_permutations()})
    return {"root": root}


def sysu_permutations() -> np.ndarray:
    """Return a cell of six cameras, each a cell of all persons up to the last, each of (10, n) permutations from 1."""
    generator = np.random.default_rng(3)
    cameras = np.empty((6, 1), dtype=object)
    for camera in range(1, 7):
        cell = np.empty((10, 1), dtype=object)
        for person in range(1, 11):
            count = SYSU_COUNTS.get((person, camera), 0)
            cell[person - 1, 0] = np.array([generator.permutation(count) + 1 for _ in range(10)])
        cameras[camera - 1, 0] = cell
    return cameras


def regdb(root: Path) -> dict[str, Any]:
    base = root / "RegDB"
    for trial in range(1, 11):
        # Another half of the persons in each trial; labels start at 0 in each list.
        train, test = ([1, 2], [3, 4]) if trial % 2 else ([3, 4], [1, 2])
        for kind, letter in (("visible", "v"), ("thermal", "t")):
            for part, persons in (("train", train), ("test", test)):
                names = [
                    f"{kind.title()}/{person}/male_back_{letter}_{person:05d}_{k}.bmp"
                    for person in persons
                    for k in range(2)
                ]
                if trial <= 2:
                    pictures(base, names)
                lines(
                    base / "idx" / f"{part}_{kind}_{trial}.txt",
                    *(f"{name} {persons.index(int(name.split('/')[1]))}" for name in names),
                )
    return {"root": root}


def joined(root: Path) -> dict[str, Any]:
    from reseen.datasets import Folder, Market1501

    sources = [Market1501(**market(root / "market")), Folder(**folder(root / "cows"))]
    return {"sources": sources}


def transfer(root: Path) -> dict[str, Any]:
    from reseen.datasets import Market1501, VeRi776

    return {"target": VeRi776(**veri776(root / "target")), "source": Market1501(**market(root / "source"))}


def subset(root: Path) -> dict[str, Any]:
    from reseen.datasets import Synthetic

    source = Synthetic(num_train_identities=4, num_test_identities=2, num_cameras=2, images_per_camera=2)
    return {"source": source, "share": 0.5}


def synthetic(root: Path) -> dict[str, Any]:
    return {"num_train_identities": 2, "num_test_identities": 2, "num_cameras": 2, "images_per_camera": 2}


MINIATURES: dict[str, Callable[[Path], dict[str, Any]]] = {
    "CUHK03": cuhk03_np,
    "DukeMTMCReID": duke,
    "Folder": folder,
    "Joined": joined,
    "MSMT17": msmt17,
    "Market1501": market,
    "OccludedDuke": occluded_duke,
    "RegDB": regdb,
    "SYSUMM01": sysumm01,
    "Subset": subset,
    "Synthetic": synthetic,
    "Table": table,
    "Transfer": transfer,
    "VERIWild": veriwild,
    "VeRi776": veri776,
    "VehicleID": vehicleid,
}
"""For each exported class: writes its layout under a folder and returns the arguments that read it."""
