"""slowprobe: find out why PyTorch training is slow."""

from slowprobe.api import profile, watch

__version__ = "0.1.0"

__all__ = ["__version__", "profile", "watch"]
