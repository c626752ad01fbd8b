"""Many clients at once in asyncio: order kept, one outcome each, a slow one timed out."""

import asyncio

from jobspan import current_run, job, operation


@operation
async def fetch(client: str) -> int:
    await asyncio.sleep(30 if client == "slow" else 0.01)
    return len(client)


async def enrich(client: str) -> int:
    leads = await fetch(client)
    current_run().add(leads=leads)
    return leads


async def main() -> None:
    async with job("enrichment") as batch:
        outcomes = await batch.amap(enrich, ["Guy-Wilson", "slow", "Acme"], concurrency=3, timeout=0.5)
    for outcome in outcomes:
        print(f"{outcome.client_id}: {outcome.status}, value {outcome.value}")


if __name__ == "__main__":
    asyncio.run(main())
