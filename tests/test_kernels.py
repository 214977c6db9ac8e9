"""The ranking tests once more under the kernels of other processors: a BLAS takes these for the machine's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = {
    "avx2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}
RANKING = ["evaluation/test_ranks.py", "evaluation/test_exact_ranks.py", "gallery/backends/sqlite_faiss/test_view.py"]
# Four tenths of the random cases, cut in every way there is; `make test-kernels` has all.
CHOSEN = "not long_doubles or 90 or 120 or 150 or 180"


@pytest.mark.parametrize("kernels", KERNELS)
def test_ranks_under_other_kernels(kernels: str) -> None:
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", "-k", CHOSEN]
    command += [*(str(here / name) for name in RANKING)]
    done = subprocess.run(
        command, cwd=here.parent, env=os.environ | KERNELS[kernels], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
