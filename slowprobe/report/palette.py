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
    # Kernels: what runs on tensor cores is blue, what is bound by memory is green to cyan.
    "matmul": ("#1f6fb5", "#4a97d6"),
    "convolution": ("#4f9fe0", "#7fbcf0"),
    "attention": ("#8a93d8", "#abb3ee"),
    "elementwise": ("#159a78", "#35bd98"),
    "normalization": ("#63c2a3", "#8ad9bf"),
    "reduction": ("#0b6b55", "#1f8f74"),
    "indexing": ("#3fa7bd", "#6cc5d8"),
    "embedding": ("#9ed3df", "#b7e2ec"),
    "memset": ("#8d99a6", "#7c8894"),
    "copy": ("#b8481f", "#e07a4e"),
    "copy_kernel": ("#d9a78f", "#b98068"),
    # Why the device is idle, and what the host does meanwhile.
    "launch": ("#d98cb9", "#e6aace"),
    "queue_full": ("#5c6773", "#8c98a5"),
    "allocator": ("#8f5a00", "#b9842e"),
    "off_step": ("#7f9a3a", "#a4c05c"),
    "sync": ("#cf3d26", "#ff7f66"),
    "framework": ("#9db4cc", "#7d97b2"),
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
