"""slowprobe: find out why PyTorch training is slow."""

__version__ = "0.1.0"
