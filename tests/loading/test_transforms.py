import pytest
import torch
from torchvision.transforms import v2

from reseen.loading import test_transform as make_test_transform
from reseen.loading import training_transform
from reseen.loading.transforms import IMAGENET_MEAN

IMAGE = torch.randint(0, 256, (3, 40, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
OFF = {"flip": None, "pad": None, "jitter": None, "auto_augment": None, "erase": None}


def test_with_every_part_off_only_the_size_changes() -> None:
    assert torch.equal(training_transform((40, 20), **OFF)(IMAGE), IMAGE)
    assert torch.equal(training_transform((16, 8), **OFF)(IMAGE), make_test_transform((16, 8))(IMAGE))


def test_everything_on_gives_uint8_of_the_size_and_leaves_the_input() -> None:
    before = IMAGE.clone()
    torch.manual_seed(0)
    varied = training_transform((16, 8), flip=1.0, pad=2, jitter=0.2, auto_augment=1.0, erase=1.0)(IMAGE)
    assert varied.shape == (3, 16, 8)
    assert varied.dtype == torch.uint8
    assert torch.equal(IMAGE, before)


def test_flip_mirrors() -> None:
    assert torch.equal(training_transform((40, 20), **{**OFF, "flip": 1.0})(IMAGE), IMAGE.flip(-1))


def test_pad_moves_by_at_most_as_many_pixels() -> None:
    torch.manual_seed(0)
    move = training_transform((40, 20), **{**OFF, "pad": 3})
    padded = torch.nn.functional.pad(IMAGE, (3, 3, 3, 3))
    windows = [padded[:, y : y + 40, x : x + 20] for y in range(7) for x in range(7)]
    for _ in range(5):
        moved = move(IMAGE)
        inside = [w for w in windows if torch.equal(w[:, 3:-3, 3:-3], moved[:, 3:-3, 3:-3])]
        assert len(inside) == 1


@pytest.mark.parametrize("pad", [0, 1, 3, 10, 25])
def test_padding_and_cropping_is_torchvisions_to_the_last_random_number(pad: int) -> None:
    theirs = v2.RandomCrop((40, 20), padding=pad, fill=list(IMAGENET_MEAN))
    ours = training_transform((40, 20), **{**OFF, "pad": pad})
    for seed in range(20):
        torch.manual_seed(seed)
        expected, then = theirs(IMAGE), torch.rand(())
        torch.manual_seed(seed)
        assert torch.equal(ours(IMAGE), expected)
        assert torch.rand(()) == then


def test_erasing_leaves_the_mean_colour() -> None:
    torch.manual_seed(0)
    erased = training_transform((40, 20), **{**OFF, "erase": 1.0})(IMAGE)
    changed = (erased != IMAGE).any(0)
    assert 0.01 < changed.float().mean() < 0.5
    assert (erased[:, changed] == torch.tensor([124, 116, 104], dtype=torch.uint8)[:, None]).all()


COLOURED = torch.tensor([10, 100, 200], dtype=torch.uint8)[:, None, None].expand(3, 40, 20)


def test_exchange_takes_one_channel_for_all_three() -> None:
    torch.manual_seed(0)
    exchange = training_transform((40, 20), **OFF, exchange=1.0)
    seen = [exchange(COLOURED) for _ in range(20)]
    assert all((picture == picture[0, 0, 0]).all() for picture in seen)
    assert {int(picture[0, 0, 0]) for picture in seen} == {10, 100, 200}


def test_grey_keeps_the_luminance() -> None:
    grey = training_transform((40, 20), **OFF, grey=1.0)(COLOURED)
    assert (grey == grey[0]).all()
    assert abs(int(grey[0, 0, 0]) - (0.299 * 10 + 0.587 * 100 + 0.114 * 200)) <= 1


def test_channels_are_erased_apart() -> None:
    torch.manual_seed(0)
    erased = training_transform((40, 20), **OFF, erase_channels=1.0)(COLOURED)
    changed = erased != COLOURED
    assert all(0.01 < channel.float().mean() < 0.5 for channel in changed)
    assert not torch.equal(changed[0], changed[1])
    for channel, own, mean in zip(erased, changed, (124, 116, 104), strict=True):
        assert (channel[own] == mean).all()


def test_the_input_stays() -> None:
    before = COLOURED.clone()
    training_transform((40, 20), **OFF, exchange=1.0, grey=1.0, erase_channels=1.0)(COLOURED)
    assert torch.equal(COLOURED, before)
