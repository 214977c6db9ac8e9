"""What the image installs is what the project asks for."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_image_takes_the_versions_that_the_project_takes():
    wanted = re.findall(r'"[a-z-]+[^"\s]*[<>=][^"\s]*"', (ROOT / "pyproject.toml").read_text())
    installed = re.findall(r'"[a-z-]+[^"\s]*[<>=][^"\s]*"', (ROOT / "docker/Dockerfile").read_text())
    assert any("onnxruntime" in requirement for requirement in installed)
    assert set(installed) <= set(wanted)
