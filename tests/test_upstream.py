"""What is used of other libraries' private names still does what it is used for; and no other file uses any."""

import ast
import re
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from jsonargparse import ArgumentParser
from pymilvus import MilvusClient
from pymilvus.client.grpc_handler import GrpcHandler

import reseen
from reseen import upstream
from reseen.losses import Loss
from reseen.models.backbones.timm import create

DOCUMENTED = {"_asdict", "_fields", "_replace", "_make"}  # of named tuples
LIBRARIES = {"torch", "timm", "accelerate", "jsonargparse", "faiss", "pymilvus", "rich", "pandas", "numpy", "fastapi"}
ROOT = Path(reseen.__file__).parent
OWN = {name for path in ROOT.rglob("*.py") for name in re.findall(r"(?:def |self\.|^ *)(_\w+)", path.read_text(), re.M)}
"""Private names of our own."""


def test_arguments_go_with_their_class() -> None:
    upstream.forget_arguments_with_their_class()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=Loss)
    words = ["--loss=reseen.losses.AdaSPLoss", "--loss.temperature=0.5", "--loss=reseen.losses.SupConLoss"]
    loss = parser.instantiate(parser.parse_args(words)).loss
    assert loss.temperature != 0.5, "jsonargparse hands on arguments of the same name: see reseen.upstream"


def test_a_class_is_checked_before_it_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jsonargparse._actions
    import jsonargparse._typehints

    for module in (jsonargparse._actions, jsonargparse._typehints):
        monkeypatch.setattr(module, "import_object", module.import_object)
    asked: list[str] = []
    upstream.check_before_importing(asked.append)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--loss", type=Loss)
    parser.parse_args(["--loss=reseen.losses.AdaSPLoss"])
    assert "reseen.losses.AdaSPLoss" in asked


def test_a_second_run_has_a_precision_of_its_own() -> None:
    for precision in ("bf16", "no"):
        upstream.forget_precision()
        assert Accelerator(mixed_precision=precision, cpu=True).mixed_precision == precision


def test_positions_are_those_of_timm() -> None:
    vit = create("vit_tiny_patch16_224", img_size=(32, 32)).eval()
    with torch.no_grad():
        tokens = vit.patch_embed(torch.zeros(1, 3, 32, 32))
        found = upstream.with_positions(vit, tokens)
    expected = torch.cat([vit.cls_token, tokens], dim=1) + vit.pos_embed
    assert torch.allclose(found, expected)


def test_a_client_of_milvus_has_what_imports() -> None:
    client = MilvusClient.__new__(MilvusClient)
    client._handler = GrpcHandler.__new__(GrpcHandler)
    for name in ("do_bulk_insert", "get_bulk_insert_state", "list_bulk_insert_tasks"):
        assert callable(getattr(upstream.grpc_handler(client), name))
    client._handler = None  # nothing is left to close


def private_names(path: Path) -> list[str]:
    """Return the underscore names that a file takes from modules of other libraries."""
    tree = ast.parse(path.read_text())
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in LIBRARIES:
            parts = [*node.module.split("."), *(alias.name for alias in node.names)]
            found += [part for part in parts if part.startswith("_") and not part.startswith("__")]
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            root: ast.expr = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            foreign = isinstance(root, ast.Name) and root.id in LIBRARIES
            if foreign or node.attr not in OWN | DOCUMENTED:
                found.append(node.attr)
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_file_uses_private_names(path: Path) -> None:
    assert path.name == "upstream.py" or not private_names(path)


def test_private_names_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import torch\nfrom timm._x import y\ntorch._foreach_add_([], [])\na.b._get_connection()\n"
    )
    assert private_names(tmp_path / "a.py") == ["_x", "_foreach_add_", "_get_connection"]
