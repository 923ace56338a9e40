"""NumPy, imported when it is first used, for its BLAS reads OMP_NUM_THREADS and its like when it is loaded.

Scripts set those at their top, before they import NumPy. If slowprobe had imported it by then, they would do nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
else:

    class _LateNumpy:
        def __getattr__(self, name: str) -> Any:
            import numpy

            return getattr(numpy, name)

    np, Ints = _LateNumpy(), Any

__all__ = ["Ints", "np"]
