"""The job for calls of models that nothing leads to a run: several jobs are open, and none is meant.

Such calls are somewhere in the ledger and in `jobspan usage`, but in the totals of no job they might not
belong to. The job is opened when the first of them comes and is closed at once; the calls are added to it
for as long as one of the jobs runs that were open then.
"""

from __future__ import annotations

from jobspan._guard import guarded
from jobspan.runs.opening import new_job
from jobspan.spans.roster import Home, roster

JOB_TYPE = "unattributed"
_NOTE = "calls of models without a context, made while several jobs were open: their job cannot be told"

_OPENING = guarded("usage.unattributed")


class Bucket:
    """Gives the job that holds what cannot be attributed."""

    def __init__(self) -> None:
        self._home: Home | None = None
        self._jobs: frozenset[str] = frozenset()

    def home(self) -> Home | None:
        """Return the job, made when none is there for the jobs that are open; None: nothing is recorded."""
        jobs = frozenset(home.uid for home in roster.open() if home.level == "job")
        if self._home is not None and not jobs.isdisjoint(self._jobs):
            return self._home
        with _OPENING:
            job = new_job(JOB_TYPE, None)
            with job:
                job.note(_NOTE)
            if job.uid:
                self._home, self._jobs = job, jobs
                return self._home
        return None


bucket = Bucket()
"""Of this process."""
