"""Which run id a job was given in the place of its first one, kept beside the claims.

A ledger can be rebuilt from journals, and they hold the id a job began with. Without this the rebuilt ledger
would claim another one, and a destination would show the job twice.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from jobspan.journal.place import Place

Claim = Callable[[int], str | None]
_TRIES = 1000
"""How many claims are made for one job until one gives an id nobody has (claims may have been deleted)."""


class GivenIds:
    """Gives jobs other run ids, the same one again after a rebuild; one process at a time.

    Args:
        place: Where they are kept: links, as those are made whole with what they hold.
        claim: Gives a new id: (start in ns) -> run id, or None.
    """

    def __init__(self, place: Place, claim: Claim) -> None:
        self._place = place
        self._claim = claim

    def give(self, uid: str, start_ns: int, is_free: Callable[[str], bool]) -> str | None:
        """Return the run id that job `uid` was given last, if it is free, else a new one; None: not now."""
        for run_id in self._candidates(uid, start_ns):
            if is_free(run_id):
                self._keep(uid, run_id)
                return run_id
        return None

    def _candidates(self, uid: str, start_ns: int) -> Iterator[str]:
        with contextlib.suppress(OSError):
            yield os.readlink(self._path(uid))
        for _ in range(_TRIES):
            run_id = self._claim(start_ns)
            if run_id is None:
                return
            yield run_id

    def _keep(self, uid: str, run_id: str) -> None:
        path = self._path(uid)
        fresh = f"{path}.{os.urandom(4).hex()}"
        with contextlib.suppress(OSError):  # not kept: as good as before a rebuild
            if not os.path.islink(path) or os.readlink(path) != run_id:
                os.symlink(run_id, fresh)
                os.replace(fresh, path)

    def _path(self, uid: str) -> str:
        if len(uid) > 120 or not (uid.isascii() and uid.isalnum()):
            import hashlib  # costly to import, hardly ever needed

            uid = hashlib.sha256(uid.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{self._place.claims}/of-{uid}"
