"""Private names of other libraries: the only file that uses any, each with what would replace it.

`tests/test_upstream.py` says which one an upgrade has taken away; pyproject.toml holds the versions that were tried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def forget_arguments_with_their_class() -> None:
    """Have jsonargparse empty the arguments of a class that gives way to another one.

    It would hand on those of the same name: AdaSP's temperature to SupCon, which means something else by it. No setting
    of jsonargparse (4.51 to 4.53) turns that off.
    """
    import jsonargparse._typehints

    def forget(parser: Any, before: Any, now: Any) -> None:
        if before and "init_args" in before and before["class_path"] != now["class_path"]:
            for argument in list(before["init_args"].keys()):
                del before["init_args"][argument]

    assert callable(jsonargparse._typehints.discard_init_args_on_class_path_change)
    jsonargparse._typehints.discard_init_args_on_class_path_change = forget


def check_before_importing(check: Callable[[str], object]) -> None:
    """Have jsonargparse call a check, which may raise, with each name in a value that it is about to import.

    It imports a class that a file of settings names before it looks whether one of that kind is wanted; the allowlist
    of jsonargparse 4.53 is not enforced, and 4.51 has none.
    """
    import jsonargparse._actions
    import jsonargparse._typehints

    modules: list[Any] = [jsonargparse._actions, jsonargparse._typehints]
    for module in modules:
        original = module.import_object

        def checked(name: Any, *rest: Any, original: Any = original, **more: Any) -> Any:
            if isinstance(name, str) and all(part.isidentifier() for part in name.split(".")):
                check(name)
            return original(name, *rest, **more)

        module.import_object = checked


def forget_precision() -> None:
    """Have accelerate forget the precision of an earlier run in this process; it keeps one for all otherwise."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()


def with_positions(vit: Any, patches: Tensor) -> Tensor:
    """Return the tokens (B, N, C) of patches with class tokens and position embeddings, by a ViT of timm."""
    tokens: Tensor = vit._pos_embed(patches)
    return tokens


def grpc_handler(client: Any) -> Any:
    """Return what speaks to the server for a client of Milvus: the client itself has no bulk import."""
    return client._get_connection()
