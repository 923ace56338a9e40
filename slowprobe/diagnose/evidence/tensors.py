"""The tensors of a device window: what is copied to the device, what is made on the host, what is multiplied."""

from __future__ import annotations

from functools import cached_property

from slowprobe.diagnose.evidence.missing import EvidenceMissing
from slowprobe.timeline.copied_tensors import CopiedTensor, copied_tensors, sizes_by_step
from slowprobe.timeline.device_window import DeviceWindow
from slowprobe.timeline.host_made import HostMade, host_made
from slowprobe.timeline.matrix_products import MatrixProduct, matrix_products
from slowprobe.timeline.round_trips import RoundTrip, round_trips


class TensorEvidence:
    """Of a recorded run and of a trace alike. Without a device each list is empty."""

    @property
    def device_window(self) -> DeviceWindow | None:
        """The steps that are replayed."""
        raise NotImplementedError

    @property
    def shaped_window(self) -> DeviceWindow | None:
        """Steps with recorded shapes, as far as there are any."""
        raise NotImplementedError

    @cached_property
    def copied_tensors(self) -> list[CopiedTensor]:
        """Tensors that are copied to the device, by size."""
        if self.device_window is None:
            return []
        try:
            shaped = self.shaped_window
        except EvidenceMissing:
            shaped = None
        return copied_tensors(self.device_window, shaped)

    @cached_property
    def batch_bytes(self) -> list[int]:
        """The largest tensor that is copied to the device in each step."""
        return [] if self.device_window is None else sizes_by_step(self.device_window)

    @cached_property
    def host_made(self) -> list[HostMade]:
        """Tensors that an operator fills on the host and that are then copied to the device."""
        return [] if self.device_window is None else host_made(self.device_window)

    @cached_property
    def round_trips(self) -> list[RoundTrip]:
        """Copies to the host that come back in the same step."""
        return [] if self.device_window is None else round_trips(self.device_window)

    @cached_property
    def matrix_products(self) -> list[MatrixProduct]:
        """Matrix products by shape, of the window with shapes. Raises `EvidenceMissing` where none was recorded."""
        found = [] if self.shaped_window is None else matrix_products(self.shaped_window)
        if not found:
            raise EvidenceMissing("no shapes of matrix products were recorded (record_shapes=True)")
        return found
