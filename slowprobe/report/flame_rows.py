"""The flame graph of the loop as rows of the document."""

from __future__ import annotations

from collections import deque

from slowprobe.diagnose.evidence import Evidence
from slowprobe.report.document import Flame
from slowprobe.timeline.flame import Call


def flame_rows(evidence: Evidence) -> Flame | None:
    """Breadth first, so that a parent stands before its calls; None where no line of the user's was sampled."""
    root = evidence.flame
    if not root.calls:
        return None
    rows = Flame(function=[], file=[], line=[], text=[], users=[], parent=[], seconds=[], bucket=[])
    waiting: deque[tuple[Call, int]] = deque([(root, -1)])
    while waiting:
        node, parent = waiting.popleft()
        frame = node.frame
        waiting.extend((call, len(rows.parent)) for call in sorted(node.calls.values(), key=lambda each: -each.seconds))
        rows.function.append(frame.function if frame else "")
        rows.file.append(frame.file if frame else "")
        rows.line.append(frame.line if frame else 0)
        rows.text.append(evidence.source.line(frame.file, frame.line) if frame and node.users else "")
        rows.users.append(node.users)
        rows.parent.append(parent)
        rows.seconds.append(round(node.seconds, 4))
        rows.bucket.append(node.bucket)
    return rows
