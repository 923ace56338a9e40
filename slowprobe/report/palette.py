"""One colour for each bucket, the same in every chart and table, in light and dark.

Hues follow families (data: orange, computing: blue, host: purple, between steps: green, waiting: red, the rest: grey)
taken from Okabe and Ito's colour-blind-safe set; lightness tells the members of a family apart.
"""

from __future__ import annotations

import zlib

LIGHT_AND_DARK = {
    "data_wait": ("#e69500", "#f0a830"),
    "fetch": ("#f5bf5b", "#f7cd80"),
    "collate": ("#b87400", "#cf8d1c"),
    "loader_start": ("#8f5a00", "#a8711a"),
    "loader_end": ("#fbdca0", "#fbe3b5"),
    "storage": ("#c2603f", "#dd8163"),
    "transform": ("#d6b500", "#e3c83d"),
    "hand_over": ("#a08a6b", "#b5a082"),
    "loader": ("#cdbb9b", "#b8a88a"),
    "step": ("#1f6fa8", "#4a97cc"),
    "forward": ("#0072b2", "#3d9bd6"),
    "backward": ("#56b4e9", "#85cbf2"),
    "optimizer": ("#004c7a", "#2274a8"),
    "zero_grad": ("#a6d8f4", "#bfe4f9"),
    "scaler": ("#7a9cb8", "#9db9d0"),
    "python": ("#b0568a", "#d07fae"),
    "compile": ("#7d3560", "#a85585"),
    "gc": ("#dca6c6", "#ecc4dc"),
    "log": ("#009e73", "#2cc498"),
    "save": ("#00664b", "#14916b"),
    "evaluation": ("#7ccfb4", "#9de3cb"),
    "sleep": ("#d55e00", "#ee8136"),
    "external": ("#f2a679", "#f6bd99"),
    "communication": ("#6f5bb8", "#9584d6"),
    "epoch": ("#5f8f7f", "#7fb3a1"),
    "startup": ("#7b8794", "#8c98a5"),
    "imports": ("#9aa5b1", "#a9b4bf"),
    "shutdown": ("#5c6773", "#67727e"),
    "slowprobe": ("#3e4c59", "#55636f"),
    "unaccounted": ("#d8b4b4", "#8f6a6a"),
    "other": ("#c3cad2", "#59636e"),
    # Kernels: blue multiplies, green goes through memory, yellow looks things up, brown copies. These and the causes
    # below were searched for colours that also differ to the colour-blind (test_device_palette.py).
    "matmul": ("#102e73", "#1f4aaf"),
    "convolution": ("#78b0e0", "#89b7df"),
    "attention": ("#4e49d4", "#6c68d6"),
    "elementwise": ("#1fbe82", "#39d69a"),
    "normalization": ("#ace8ca", "#aee5c9"),
    "reduction": ("#226a54", "#389d7d"),
    "indexing": ("#a99f2f", "#c5bb46"),
    "embedding": ("#e6e089", "#e4df94"),
    "memset": ("#90989f", "#a0a6ab"),
    "copy": ("#903a12", "#ce5d28"),
    "copy_kernel": ("#cc8d58", "#cf9d73"),
    # Why the device is idle, and what the host does meanwhile.
    "launch": ("#d796b2", "#d8a0b7"),
    "queue_full": ("#576067", "#737e86"),
    "allocator": ("#935009", "#cb7315"),
    "off_step": ("#80983f", "#9bb358"),
    "sync": ("#953624", "#c04c36"),
    "framework": ("#809ec8", "#91aacc"),
}
_NEUTRAL = (
    ("#8d99a6", "#7c8894"),
    ("#a3937f", "#b3a38f"),
    ("#7f9a94", "#8faaa4"),
    ("#9a8fa6", "#aa9fb6"),
    ("#b5ab8b", "#a59b7b"),
    ("#8b8f77", "#9b9f87"),
)


def slot(bucket: str) -> str:
    """The name of a bucket's colour: safe to use in CSS, whatever the bucket is called."""
    if bucket in LIGHT_AND_DARK:
        return bucket.replace("_", "-")
    return f"neutral-{zlib.crc32(bucket.encode('utf-8', 'replace')) % len(_NEUTRAL)}"


def variable(bucket: str) -> str:
    """The CSS variable holding a bucket's colour; report.js puts its value into the charts."""
    return f"var(--bucket-{slot(bucket)})"


def ink_variable(bucket: str) -> str:
    """The CSS variable holding the colour of text on a bucket's colour."""
    return f"var(--on-{slot(bucket)})"


def stylesheet() -> str:
    """The CSS that gives every slot its colour and the colour of text on it."""
    slots = {slot(bucket): colours for bucket, colours in LIGHT_AND_DARK.items()}
    slots |= {f"neutral-{number}": colours for number, colours in enumerate(_NEUTRAL)}
    light = "".join(_variables(name, colours[0]) for name, colours in slots.items())
    dark = "".join(_variables(name, colours[1]) for name, colours in slots.items())
    classes = "".join(f".bucket-{name}{{--bucket:var(--bucket-{name})}}" for name in slots)
    return (
        f":root{{{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f"{classes}"
    )


def _variables(name: str, colour: str) -> str:
    return f"--bucket-{name}:{colour};--on-{name}:{readable_on(colour)};"


def readable_on(colour: str) -> str:
    """Black or white, whichever contrasts more with ``#rrggbb``."""
    return "#ffffff" if contrast("#ffffff", colour) > contrast("#101214", colour) else "#101214"


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two ``#rrggbb`` colours as WCAG defines it: 1 to 21; text should have 4.5."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
