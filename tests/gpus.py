"""Two GPUs to run tests on: CUDA's, and one that is not there.

Tensors of the second say that they lie on a GPU, and hold their values on the CPU. Mixing them with the CPU's is
refused as CUDA refuses it, and whatever would make the host wait for the device is noted. So what a GPU machine would
stumble over shows without one. What it cannot tell: anything about CUDA's own kernels.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# Autograd works on devices that torch itself serves here: the CPU, and this one, which has no memory.
DEVICE = torch.device("meta")
# What takes a list of indices.
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "is_nonzero", "bincount"}


class OnDevice(Tensor):
    """A tensor on the device that is not there."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        made: OnDevice = Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )
        return made

    def __init__(self, held: Tensor) -> None:
        self.held = held

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} outside of the device's context")

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.held!r})"


class Device(TorchDispatchMode):
    """The device while it is there.

    Attributes:
        waits: What has made the host wait for it, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        here = [tensor for tensor in given if isinstance(tensor, OnDevice)]
        name = func.overloadpacket.__name__
        asked = kwargs.get("device")
        target = torch.device(asked) if asked is not None else DEVICE if here else torch.device("cpu")
        if name == "copy_":
            target = args[0].device
        if not here and target != DEVICE:
            return func(*args, **kwargs)
        self._check(name, given, here, args)
        self._note(name, args, kwargs, crossed=bool(here) != (target == DEVICE) or (name == "copy_" and len(here) == 1))
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        wrapped = {id(tensor.held): tensor for tensor in here}
        args, kwargs = tree_map(lambda leaf: leaf.held if isinstance(leaf, OnDevice) else leaf, (args, kwargs))
        result = func(*args, **kwargs)
        if target != DEVICE:
            return result

        def back(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            return wrapped[id(leaf)] if id(leaf) in wrapped else OnDevice(leaf)

        return tree_map(back, result)

    @staticmethod
    def _check(name: str, given: list[Tensor], here: list[OnDevice], args: Any) -> None:
        # A number on the CPU is a number.
        strange = [tensor for tensor in given if not isinstance(tensor, OnDevice) and tensor.dim()]
        if name in INDEXING:
            # Indices may lie on the CPU, what is indexed and what is put there may not lie apart.
            strange = [each for each in (args[0], *args[2:3]) if not isinstance(each, (OnDevice, bool)) and each.dim()]
            assert isinstance(args[0], OnDevice) or not here, f"{name}: indices on the device, values on the CPU"
        if strange and here and name not in {"_to_copy", "copy_"}:
            raise AssertionError(f"{name}: tensors of the device and of the CPU, {[tuple(t.shape) for t in given]}")

    def _note(self, name: str, args: Any, kwargs: Any, *, crossed: bool) -> None:
        if name in INDEXING and any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1]):
            self.waits.append(f"{name} by a mask")
        elif (name == "repeat_interleave" and kwargs.get("output_size") is None) or name in WAITS:
            self.waits.append(name)
        elif crossed and name in ("_to_copy", "copy_") and not (kwargs.get("non_blocking") or True in args[2:3]):
            self.waits.append(f"{name} from one device to the other")


class Gpu(ABC):
    """A device to run on, and to compare with the CPU.

    Attributes:
        rtol: How far, relatively, a result in float32 may lie from the CPU's.
    """

    rtol: float

    @abstractmethod
    def tensor(self, tensor: Tensor) -> Tensor:
        """Return a copy of a tensor on the device."""

    @abstractmethod
    def fetch(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the device on the CPU, whether or not that waits."""

    @abstractmethod
    def step(self, allowed: Collection[str] = ()) -> AbstractContextManager[None]:
        """Context manager in which the host must not wait for the device, but for what is allowed."""

    def put(self, thing: Any) -> Any:
        """Return a tensor, or a dataclass of them, on the device; a module is moved in place, as ``.to`` moves it."""
        if isinstance(thing, nn.Module):
            for module in thing.modules():
                for name, parameter in module._parameters.items():
                    if parameter is not None:
                        moved = nn.Parameter(self.tensor(parameter.detach()), parameter.requires_grad)
                        module._parameters[name] = moved
                for name, buffer in module._buffers.items():
                    module._buffers[name] = None if buffer is None else self.tensor(buffer)
            return thing
        if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
            fields = {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing) if field.init}
            moved = {name: self.tensor(value) for name, value in fields.items() if isinstance(value, Tensor)}
            return dataclasses.replace(thing, **moved)
        return self.tensor(thing)

    def close(self, on_device: Tensor, on_cpu: Tensor, *, atol: float = 0.0) -> None:
        """Assert that a result is the CPU's."""
        scale = float(on_cpu.detach().abs().max()) if on_cpu.numel() else 0.0
        torch.testing.assert_close(
            self.fetch(on_device), on_cpu.detach(), rtol=self.rtol, atol=max(atol, self.rtol * scale)
        )


class PretendedGpu(Gpu):
    """The device that is not there."""

    rtol = 1e-4  # torch takes other kernels of attention there

    def __init__(self, device: Device) -> None:
        self.device = device

    def tensor(self, tensor: Tensor) -> Tensor:
        return OnDevice(tensor.detach().clone())

    def fetch(self, tensor: Tensor) -> Tensor:
        assert isinstance(tensor, OnDevice)
        return tensor.held.detach()

    @contextmanager
    def step(self, allowed: Collection[str] = ()) -> Iterator[None]:
        self.device.waits.clear()
        yield
        assert not set(self.device.waits) - set(allowed), f"the host waits for the device: {self.device.waits}"


class CudaGpu(Gpu):
    """The GPU of this machine."""

    rtol = 2e-3

    def tensor(self, tensor: Tensor) -> Tensor:
        return tensor.detach().clone().cuda()

    def fetch(self, tensor: Tensor) -> Tensor:
        assert tensor.is_cuda
        return tensor.detach().cpu()

    @contextmanager
    def step(self, allowed: Collection[str] = ()) -> Iterator[None]:
        torch.cuda.set_sync_debug_mode("default" if allowed else "error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@contextmanager
def pretended() -> Iterator[PretendedGpu]:
    """Context manager in which there is a device that is not there."""
    autocast = torch.autocast

    class Autocast(autocast):  # type: ignore[misc, valid-type]
        """Torch knows no mixed precision on this device."""

        def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
            super().__init__("cpu" if device_type == DEVICE.type else device_type, *args, **kwargs)

    torch.autocast = Autocast  # type: ignore[misc]
    try:
        with Device() as device:
            yield PretendedGpu(device)
    finally:
        torch.autocast = autocast  # type: ignore[misc]


@contextmanager
def cuda() -> Iterator[CudaGpu]:
    """Context manager in which CUDA computes in float32 throughout, as the CPU does."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield CudaGpu()
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
