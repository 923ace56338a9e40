"""slowprobe: find out why PyTorch training is slow."""

from slowprobe.api import profile, watch
from slowprobe.notebook import load as load_ipython_extension

__version__ = "0.1.0"

__all__ = ["__version__", "load_ipython_extension", "profile", "watch"]
