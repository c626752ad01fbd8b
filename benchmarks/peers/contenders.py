# mypy: disable-error-code="import-not-found,untyped-decorator,no-untyped-call,misc"
# pyright: basic, reportMissingImports=false
"""The contenders: one function each, which sets the SDK up and returns its unit of tracked work.

The unit is the nearest equal of ``with client_run("x") as run: run.add(leads=1)``. `backend` is the address
of a loopback server, or None where only the calling thread is timed: then exporting is a no-op wherever the
SDK lets an exporter be given. A contender runs in an environment of its own; nothing of it is imported
before its function is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody listens there
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Units:
    """What is timed: `block(name)` is one unit, `decorated()` the same by decorator, inside `around`."""

    block: Callable[[str], None]
    decorated: Callable[[], None] | None = None
    around: AbstractContextManager[Any] = field(default_factory=nullcontext)


@dataclass(frozen=True)
class Contender:
    """How to install, import and run one of them.

    Attributes:
        packages: What pip installs; the first one's version is shown.
        imports: The import statement a program that uses it begins with.
        environment: Opt-outs of telemetry and update checks, and dummy keys.
        proof: A text that only a finished unit sends; where `found` is given, that is asked instead.
        only_local: There is no backend to be slow; exit is measured once.
        found: Tells (in a new process, in the same working directory) whether a unit is whole in the store.
    """

    name: str
    setup: Callable[[str | None], Units]
    packages: tuple[str, ...]
    imports: str
    environment: dict[str, str]
    proof: bytes
    found: Callable[[str], bool] | None
    only_local: bool


CONTENDERS: dict[str, Contender] = {}
Setup = Callable[[str | None], Units]


def contender(
    name: str,
    packages: tuple[str, ...],
    imports: str,
    *,
    proof: bytes = b"leads",
    found: Callable[[str], bool] | None = None,
    only_local: bool = False,
    environment: dict[str, str] | None = None,
) -> Callable[[Setup], Setup]:
    def register(setup: Setup) -> Setup:
        CONTENDERS[name] = Contender(
            name, setup, packages, imports, environment or {}, proof, found, only_local
        )
        return setup

    return register


def nothing_exporter() -> Any:
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class NothingExporter(SpanExporter):
        """Takes spans and drops them."""

        def export(self, spans: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    return NothingExporter()


def otlp_exporter(backend: str | None) -> Any:
    if backend is None:
        return nothing_exporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=f"{backend}/v1/traces")


OTEL = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http", "wrapt")


@contender("otel", OTEL, "import opentelemetry.sdk.trace, wrapt")
def otel(backend: str | None) -> Units:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(otlp_exporter(backend)))
    tracer = provider.get_tracer("bench")

    def block(name: str) -> None:
        with tracer.start_as_current_span(name) as span:
            span.set_attribute("leads", 1)

    @tracer.start_as_current_span("x")
    def decorated() -> None:
        trace.get_current_span().set_attribute("leads", 1)

    return Units(block, decorated)


def found_by_jobspan(mark: str) -> bool:
    import jobspan

    tracking = jobspan.JobTracking()
    record = tracking.get_client_run(Path("job-id").read_text(), mark)
    return record is not None and record.status == "Completed" and record.counts == {"leads": 1}


@contender("jobspan", (f"{ROOT}[otlp]",), "import jobspan", found=found_by_jobspan)
def jobspan(backend: str | None) -> Units:
    import jobspan
    from jobspan import client_run

    jobspan.configure(exporters=[] if backend is None else [otlp_exporter(backend)])

    def block(name: str) -> None:
        with client_run(name) as run:
            run.add(leads=1)

    @client_run
    def tracked(client_id: str) -> None:
        jobspan.current_run().add(leads=1)

    job = ExitStack()
    Path("job-id").write_text(job.enter_context(jobspan.job("bench")).run_id)
    return Units(block, lambda: tracked("x"), job)


@contender("logfire", ("logfire",), "import logfire", environment={"LOGFIRE_IGNORE_NO_CONFIG": "1"})
def logfire(backend: str | None) -> Units:
    import logfire
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if backend is None:
        processors = [BatchSpanProcessor(nothing_exporter())]
        logfire.configure(send_to_logfire=False, console=False, additional_span_processors=processors)
    else:
        options = logfire.AdvancedOptions(base_url=backend)
        logfire.configure(token="dummy", send_to_logfire=True, console=False, advanced=options)

    def block(name: str) -> None:
        with logfire.span(name) as span:
            span.set_attribute("leads", 1)

    @logfire.instrument("x")
    def decorated() -> None:
        trace.get_current_span().set_attribute("leads", 1)

    return Units(block, decorated)


@contender("langfuse", ("langfuse",), "import langfuse", environment={"LANGFUSE_TIMEOUT": "5"})
def langfuse(backend: str | None) -> Units:
    from langfuse import Langfuse, get_client, observe

    exporter = {"span_exporter": nothing_exporter()} if backend is None else {}
    client = Langfuse(
        public_key="pk-lf-dummy", secret_key="sk-lf-dummy", base_url=backend or NOWHERE, **exporter
    )

    def block(name: str) -> None:
        with client.start_as_current_observation(as_type="span", name=name) as span:
            span.update(metadata={"leads": 1})

    @observe(name="x")
    def decorated() -> None:
        get_client().update_current_span(metadata={"leads": 1})

    return Units(block, decorated)


TRACELOOP = ("traceloop-sdk", "httpx")  # 0.62.4 imports httpx and does not ask for it


@contender("traceloop", TRACELOOP, "import traceloop.sdk", environment={"TRACELOOP_TELEMETRY": "false"})
def traceloop(backend: str | None) -> Units:
    from opentelemetry import trace
    from traceloop.sdk import Traceloop
    from traceloop.sdk.decorators import workflow
    from traceloop.sdk.tracing import get_tracer

    if backend is None:
        Traceloop.init(app_name="bench", exporter=nothing_exporter(), telemetry_enabled=False)
    else:
        Traceloop.init(app_name="bench", api_endpoint=backend, api_key="dummy", telemetry_enabled=False)

    def block(name: str) -> None:
        with get_tracer() as tracer, tracer.start_as_current_span(name) as span:
            span.set_attribute("leads", 1)

    @workflow(name="x")
    def decorated() -> None:
        trace.get_current_span().set_attribute("leads", 1)

    return Units(block, decorated)


@contender("sentry crons", ("sentry-sdk",), "import sentry_sdk", proof=b'"ok"')
def sentry_crons(backend: str | None) -> Units:
    """A check-in carries no number: its unit is the monitor alone."""
    import sentry_sdk
    from sentry_sdk.crons import monitor
    from sentry_sdk.transport import Transport

    class NothingTransport(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            pass

    address = (backend or NOWHERE).replace("://", "://dummy@")
    sentry_sdk.init(dsn=f"{address}/1", transport=None if backend else NothingTransport)

    def block(name: str) -> None:
        with monitor(monitor_slug=name):
            pass

    @monitor(monitor_slug="x")
    def decorated() -> None:
        pass

    return Units(block, decorated)


MLFLOW = {"MLFLOW_DISABLE_TELEMETRY": "true"}


@contender("mlflow trace", ("mlflow-tracing",), "import mlflow", proof=b'"state": "OK"', environment=MLFLOW)
def mlflow_trace(backend: str | None) -> Units:
    """Its spans are uploaded behind the trace's own record: that record arriving is counted as arrival."""
    import mlflow
    from mlflow.entities.trace_location import MlflowExperimentLocation
    from mlflow.tracing.export.mlflow_v3 import MlflowV3SpanExporter

    if backend is None:  # there is no argument for an exporter; queueing still happens
        MlflowV3SpanExporter._log_trace = lambda *_, **__: None
    mlflow.set_tracking_uri(backend or NOWHERE)
    # Without a destination mlflow-tracing 3.17.2 gives no-op spans: a NameError, logged at debug.
    mlflow.tracing.set_destination(MlflowExperimentLocation("0"))

    def block(name: str) -> None:
        with mlflow.start_span(name) as span:
            span.set_attribute("leads", 1)

    @mlflow.trace(name="x")
    def decorated() -> None:
        mlflow.get_current_active_span().set_attribute("leads", 1)

    return Units(block, decorated)


def found_by_mlflow(mark: str) -> bool:
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    runs = mlflow.search_runs(filter_string=f"attributes.run_name = '{mark}'", output_format="list")
    return any(run.info.status == "FINISHED" and run.data.metrics == {"leads": 1} for run in runs)


@contender(
    "mlflow run", ("mlflow",), "import mlflow", found=found_by_mlflow, only_local=True, environment=MLFLOW
)
def mlflow_run(backend: str | None) -> Units:
    """Nested runs in a local SQLite store: there is no backend that answers without being MLflow."""
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")

    def block(name: str) -> None:
        with mlflow.start_run(run_name=name, nested=True):
            mlflow.log_metric("leads", 1)

    return Units(block, None, mlflow.start_run())


AGENTOPS = {
    "AGENTOPS_LOG_LEVEL": "CRITICAL",
    "AGENTOPS_ENV_DATA_OPT_OUT": "true",
    "AGENTOPS_API_KEY": "dummy",
}


# 0.4.21 uses insides of the OTLP exporter that newer ones don't have: with them every export fails.
AGENTOPS_PACKAGES = ("agentops", "opentelemetry-exporter-otlp-proto-http<1.39")


@contender("agentops", AGENTOPS_PACKAGES, "import agentops", environment=AGENTOPS)
def agentops(backend: str | None) -> Units:
    import agentops
    import agentops.sdk.core

    if backend is None:  # there is no argument for an exporter
        agentops.sdk.core.AuthenticatedOTLPExporter = lambda **_: nothing_exporter()
    address = backend or NOWHERE
    agentops.init(
        endpoint=address,
        exporter_endpoint=f"{address}/v1/traces",
        auto_start_session=False,
        instrument_llm_calls=False,
        log_session_replay_url=False,
    )

    def block(name: str) -> None:
        with agentops.start_trace(name) as context:
            context.span.set_attribute("leads", 1)

    @agentops.operation(name="x")
    def decorated() -> None:
        from opentelemetry import trace

        trace.get_current_span().set_attribute("leads", 1)

    return Units(block, decorated)


@contender("opik", ("opik",), "import opik", environment={"OPIK_SENTRY_ENABLE": "false"})
def opik(backend: str | None) -> Units:
    os.environ["OPIK_URL_OVERRIDE"] = backend or NOWHERE
    import opik
    from opik import opik_context

    def block(name: str) -> None:
        with opik.start_as_current_trace(name) as trace:
            trace.metadata = {"leads": 1}

    @opik.track(name="x")
    def decorated() -> None:
        opik_context.update_current_trace(metadata={"leads": 1})

    return Units(block, decorated)
