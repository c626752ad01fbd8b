"""The short road of most client runs: a block in an open job, of which nothing more is asked.

It does what `RunHandle.__enter__` and `__exit__` do, in one piece each, and costs half. Wherever anything
is unusual (a fork, a clock that was moved, a span of somebody else around, an error) it does nothing, and
says so: then the long road is taken. Both write the same events.
"""

from __future__ import annotations

from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import ref

from opentelemetry.context import Context

from jobspan import _clock
from jobspan._guard import guarded, guarded_step
from jobspan._metrics import watched as meters
from jobspan.journal import process
from jobspan.model.status import Left, Status
from jobspan.runs import current
from jobspan.runs.current import lane, live_run, restore, set_current
from jobspan.runs.measuring import tell_metrics
from jobspan.runs.telling import client_run_attributes
from jobspan.spans.context import SPAN_KEY, attach, current_context, watched_globals
from jobspan.spans.identifier import new_span_id
from jobspan.spans.roster import roster
from jobspan.spans.span import RunSpan
from jobspan.spans.usage import usage_processor

if TYPE_CHECKING:
    from jobspan.runs.kinds import ClientRun

_told = process.told
_globals: Any = watched_globals()
_opened = roster.opened
_fresh: Any = object.__new__
_COMPLETED = Status.COMPLETED
_USAGE = guarded("run.usage")


@guarded_step("run.start")
def enter_plain(run: ClientRun) -> bool:
    """Open a fresh run and make it current; False: nothing was done."""
    job, runtime = run.job, run._runtime
    pid, provider, prefix = runtime.ready
    context = current_context()
    around = context.get(SPAN_KEY)
    if (
        run._pen is not None
        or pid != _told[0]
        or provider is not _globals._TRACER_PROVIDER
        or live_run() is not run.parent
        or type(around) is not RunSpan
        or _clock.moved_ns
    ):
        return False
    now = _clock.now_ns()
    number = run._number = new_span_id()
    span: RunSpan = _fresh(RunSpan)
    span._pipeline = runtime.pipeline
    span._label = job.client_label
    span._trace_id = around._trace_id
    span._span_id = number
    span._up = around
    span._start_ns = now
    span._source = partial(client_run_attributes, job, run.name)
    span._owned = True
    run.span = span
    run._home = pid
    pen = runtime.new_pen(pid, prefix, number)
    run.uid = pen.uid
    run._pen = pen
    _opened[number] = ref(run)
    at = run.lane = get_ident() if current.running_loop() is None else lane()
    pen.write(now, f'"e":"open","lane":{at}{run._plain}')
    if runtime.pipeline.processors:
        runtime.pipeline.tell_start(span)
    token = attach(Context({**context, SPAN_KEY: span}))
    run._is_plain = True
    run._activation = set_current(run), token
    return True


@guarded_step("run.finish")
def leave_plain(run: ClientRun) -> bool:
    """Close a run, the current one, whose block was left without an error; False: it is still to be done."""
    activation, runtime, pen = run._activation, run._runtime, run._pen
    span: Any = run.span
    if (
        activation is None
        or pen is None
        or run._depth
        or run._left is not None
        or run._home != _told[0]
        or run._is_detached
        or _clock.moved_ns
    ):
        return False
    restore(activation)
    run._activation = None
    run._left = Left.OK
    if roster.is_asked:
        roster.closed(run._number, run._remains())
    else:
        _opened.pop(run._number, None)
    if span._content is not None:
        with _USAGE:
            usage_processor.own_span(run, span)
    end_ns = _clock.now_ns()
    at = get_ident() if current.running_loop() is None else lane()
    pen.write(end_ns, f'"e":"close","how":"ok","lane":{at}')
    if run._errors or run._part or run.job.told_last is not _COMPLETED:
        run._tell_parent()
    if meters._METER_PROVIDER is not None and runtime.metrics.is_on:
        tell_metrics(run, end_ns)
    if runtime.pipeline.active:
        span.finish(end_ns, attributes=run._last_attributes())
    else:
        span._end_ns = end_ns
    return True
