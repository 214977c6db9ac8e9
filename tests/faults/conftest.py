"""What the tests of faults share: the files that are spoilt, and a table of what was tried and what became of it."""

from collections import Counter, defaultdict
from collections.abc import Callable

import pytest

from tests.faults.house import House, build

TALLY: dict[str, Counter[str]] = defaultdict(Counter)
ENDINGS = ("tried", "right", "refused", "lost")


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return build(tmp_path_factory.mktemp("house"))


@pytest.fixture
def count() -> Callable[[str, str], None]:
    """Notes down how one attempt ended: right, refused or lost."""

    def note(kind: str, ending: str) -> None:
        TALLY[kind].update(["tried", ending])

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not TALLY:
        return
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'':<44}" + "".join(f"{ending:>10}" for ending in ENDINGS))
    for kind, endings in sorted(TALLY.items()):
        terminalreporter.write_line(f"{kind:<44}" + "".join(f"{endings[ending]:>10}" for ending in ENDINGS))
