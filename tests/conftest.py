"""What every test shares: one thread, and the shared folder where there is one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RESEEN_TRUST"] = "tests"  # so that models with tests' own backbones can be loaded, by child processes too

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reseen.parallel import num_cores
from tests.gpus import Gpu, cuda, pretended

torch.set_num_threads(1)

MAX_PROCESSES = 8
"""Of tests that run side by side: each holds a torch of its own."""

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes `make test` starts: one for each core that this process may use."""
    return min(MAX_PROCESSES, num_cores())


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures and weights beside the checkout; tests that want it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside this checkout")
    return SHARED


@pytest.fixture
def several_threads() -> Iterator[None]:
    """Give torch four threads, whatever the machine has."""
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(1)


@pytest.fixture(params=["pretended", pytest.param("cuda", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Iterator[Gpu]:
    """A GPU: one that is not there, and with -m gpu that of this machine."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    with pretended() if request.param == "pretended" else cuda() as device:
        yield device
