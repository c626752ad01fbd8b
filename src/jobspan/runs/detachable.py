"""What a job and a client run share: they can be left open, to be ended from elsewhere."""

from __future__ import annotations

from abc import abstractmethod
from json.encoder import encode_basestring_ascii as quote
from typing import TYPE_CHECKING, Any

from jobspan.exceptions import RunCanceled
from jobspan.model.status import Left
from jobspan.runs.handle import RunHandle

if TYPE_CHECKING:
    from jobspan.ledger.cancel import Requests
    from jobspan.runs.option import Duration


class Detachable(RunHandle):
    """A run that `detach` leaves open after its block."""

    asked_since_ns: int = 0
    """Requests to cancel from before this instant are about an earlier attempt."""

    def detach(self, *, external_id: object = None, deadline: Duration | None = None) -> None:
        """Leave this run Running after its block: somebody else will end it, with `jobspan.attach`.

        ``run.detach(external_id=vendor_job["id"], deadline="45m")``. It then belongs to no process, and
        survives this one. If nobody has attached to it by its deadline, it is Timed_out, at the deadline.
        An exception that leaves the block ends it all the same. Detaching again moves the deadline.

        Args:
            external_id: The id by which `attach` finds it: that of the vendor's job, message or webhook.
            deadline: From now; default 24 h.

        Raises:
            UsageError: The deadline is no duration.
        """
        from jobspan.runs.detaching import detach_run

        detach_run(self, external_id, deadline)

    def mark_detached(self) -> bool:
        """Have the block leave the record open; False if it was left before, or nothing is recorded."""
        self._is_detached = self._is_detached or self.is_recording
        return self.is_recording

    def close_canceled(self, reason: str) -> None:
        """End the run as Canceled, from wherever; one that was detached goes on elsewhere."""
        if not self._is_detached:
            self.finish(RunCanceled(reason))

    def cancel_requested(self, requests: Requests) -> None:
        """Cancel this run if it, or what it is a part of, is among `requests`."""
        for name in self.asked_by():
            at_ns, reason = requests.get(name, (0, ""))
            if at_ns > self.asked_since_ns:
                self.cancel(reason)

    @abstractmethod
    def asked_by(self) -> tuple[str, ...]:
        """Return the inside names by which this run is asked to cancel."""

    @property
    def stays_open(self) -> bool:
        """Whether the record stays open though the block was left."""
        return self._is_detached and self._left in (None, Left.OK)

    def emit(self, event: dict[str, Any]) -> None:
        """Write one event of this run."""
        self._emit(event)


def of_text(of: str, part: str, delivery: str = "") -> str:
    """Return what an open event says of the part it is attached to."""
    text = f',"of":{quote(of)}' if of else ""
    text += f',"delivery":{quote(delivery)}' if of and delivery else ""
    return text + (f',"part":{quote(part)}' if part else "")
