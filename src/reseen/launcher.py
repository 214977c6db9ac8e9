"""Process groups of launchers: torchrun, accelerate launch or mpirun.

Needs no torch until there are several.
"""

from __future__ import annotations

import os

from reseen.errors import RunError

SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def num_launched() -> int:
    """Return how many processes the launcher says it started; 1 without a launcher."""
    return _number(SIZES, 1)


def is_first() -> bool:
    """Return whether this is the process that prints and writes."""
    return _number(RANKS, 0) == 0


def join_group() -> None:
    """Form one ``torch.distributed`` group of all launched processes: NCCL where there is a GPU, else gloo.

    A single process stays alone. A group that exists already is taken as it is.

    Raises:
        RunError: The launcher was asked for several processes and this one would work alone.
    """
    launched = num_launched()
    if launched == 1:
        if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true" and "MASTER_PORT" in os.environ and _unranked():
            raise RunError(
                "expected the processes that accelerate launch was asked for, found one alone: on a CPU it starts no "
                "other unless it is told --multi_gpu; add that, or use torchrun --nproc_per_node N -m reseen, or "
                "leave out --num_processes"
            )
        return
    # Here, not above: an exported model runs where there is no torch.
    import torch
    from accelerate import PartialState

    gpus, here = torch.cuda.device_count(), _number(("LOCAL_WORLD_SIZE",), 1)
    if 0 < gpus < here:
        raise RunError(
            f"expected a GPU for each of the {here} processes of this machine, found {gpus}; start fewer, or hide the "
            "GPUs with CUDA_VISIBLE_DEVICES= to work on the CPU"
        )
    # Without being told so, accelerate looks for a group of processes on GPUs only.
    num_processes = PartialState(cpu=not torch.cuda.is_available()).num_processes
    if num_processes != launched:
        raise RunError(
            f"expected the {launched} processes that were launched to work as one group, found {num_processes}; launch "
            "with torchrun --nproc_per_node N -m reseen, or start one process"
        )


def leave_group() -> None:
    """End the group once the work of all processes is done."""
    if num_launched() > 1:
        import torch.distributed as dist

        dist.destroy_process_group()


def _unranked() -> bool:
    return not any(name in os.environ for name in (*SIZES, *RANKS))


def _number(names: tuple[str, ...], otherwise: int) -> int:
    return next((int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()), otherwise)
