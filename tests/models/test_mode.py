"""Modes come back as they were, module by module, after an error too."""

from contextlib import suppress

import pytest
from torch import nn

from reseen.models import eval_mode, train_mode


@pytest.mark.parametrize("training", [False, True])
def test_each_module_as_it_was(training: bool) -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2), nn.Dropout())
    model[1].eval()
    with suppress(KeyError), (train_mode if training else eval_mode)(model):
        assert [m.training for m in model.modules()] == [training] * 4
        raise KeyError
    assert [m.training for m in model.modules()] == [True, True, False, True]
