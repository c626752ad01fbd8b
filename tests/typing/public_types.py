"""What type checkers see of the public names; never run, only checked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

import jobspan
from jobspan import ClientOutcome, ClientRun, JobRun, Operation, client_run, job, operation


@job
def plain(count: int, *, dry: bool = False) -> str:
    return "x" * count


assert_type(plain(1, dry=True), str)
plain("1")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@job("nightly", timeout=3600, max_tokens=50_000, max_cost_usd="2.50", max_errors=10)
def called(clients: list[str]) -> int:
    return len(clients)


assert_type(called(["A"]), int)


@client_run
async def fetch(client_id: str) -> bytes:
    return client_id.encode()


fetching: Callable[[str], Coroutine[Any, Any, bytes]] = fetch


@client_run(client="lead", timeout="5m", max_tokens=1_000, max_cost_usd=0.5, max_errors=0)
def score(lead: str, weight: float = 1.0) -> float:
    return weight


assert_type(score("A", weight=2), float)


def id_of(lead: dict[str, str]) -> str:
    return lead["id"]


@client_run(client=id_of, implicit_job=False)
def from_item(lead: dict[str, str]) -> None: ...


from_item({"id": "A"})


with job("nightly") as recent:
    for recent_run in recent.clients(["A"], max_tokens=5, done_within="24h", min_items=0):
        assert_type(recent_run.done_within(3600, min_items=2), bool)


@operation
def pages(url: str) -> Iterator[int]:
    yield 1


@operation("pages")
async def apages(url: str) -> AsyncIterator[int]:
    yield 1


for number in pages("x"):
    assert_type(number, int)


class Batch:
    @job
    def run(self, name: str) -> int:
        return 1

    @classmethod
    @client_run
    def of_class(cls, client_id: str) -> str:
        return client_id

    @staticmethod
    @operation("step")
    def step(client_id: str) -> bool:
        return True


assert_type(Batch().run("x"), int)
assert_type(Batch.of_class("A"), str)
assert_type(Batch.step("A"), bool)


async def main() -> None:
    async with job("nightly") as j:
        assert_type(j, JobRun)
        async for number in apages("x"):
            assert_type(number, int)
        assert_type(await fetch("A"), bytes)
        assert_type(await j.amap(fetch, ["A"], retries=1), list[ClientOutcome[str, bytes]])


with job("nightly", timeout=3) as j:
    assert_type(j, JobRun)
    with j.client("A") as run, client_run(7) as other, run.operation("step") as step:
        assert_type(run, ClientRun)
        assert_type(other, ClientRun)
        assert_type(step, Operation)
        run.add(leads=1)
    for each in j.clients([{"id": 1}], key="id", on_error="raise"):
        assert_type(each, ClientRun)
    results = j.map(score, ["A"], concurrency=2)
    assert_type(results, list[ClientOutcome[str, float]])
    assert_type(results[0].value, float | None)
    assert_type(j.exit_code, int)


assert_type(jobspan.current_job(), JobRun)
assert_type(jobspan.wrap(plain)(2), str)
assert_type(jobspan.flush(), bool)
assert_type(jobspan.health().ok, bool)
tracking = jobspan.JobTracking()
assert_type(tracking.generate_run_id(), str)
assert_type(tracking.create_job(job_type="x", add={"items": 1}), jobspan.TrackingResult)
assert_type(tracking.get_job("x"), jobspan.JobRecord | None)
