"""Legal histories: what processes, jobs, clients, parts and operations may write, as lists of events."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]
START = 1_780_000_000_000_000_000
STEP = 1_000_000
DAY = 86_400_000_000_000


@dataclass
class History:
    """Events with the process whose journal holds them, in the order they were written."""

    events: list[tuple[Event, str]] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)
    """Processes that are dead, with the last sign of life."""
    swept_at: int | None = None
    """When passed deadlines were looked for, at the end."""


_FIRST = ("w", "q", "t")
_PLACE = ("lane", "parent", "kind", "job", "name", "client", "part", "attempt")


def record_of(event: Event) -> bytes:
    """Return an event as a handle writes it: its members in that order, without blanks."""
    order = [*_FIRST, "e", *(_PLACE if event["e"] == "open" else ())]
    ordered = {name: event[name] for name in order if name in event} | event
    return json.dumps(ordered, separators=(",", ":")).encode()


class Writer:
    """Gives the events of one handle their identity."""

    def __init__(self, script: Script, uid: str, process: str, part: str | None = None) -> None:
        self.script, self.uid, self.process, self.part, self.seq = script, uid, process, part, 0

    def write(self, kind: str, /, **rest: Any) -> Event:
        event: Event = {"e": kind, "w": self.uid, "q": self.seq, "t": self.script.tick(), **rest}
        if self.part is not None:
            event["p"] = self.part
        self.seq += 1
        self.script.history.events.append((event, self.process))
        return event


class Script:
    """Writes one random history."""

    def __init__(self, seed: int, size: int) -> None:
        self.random = random.Random(seed)
        self.history = History()
        self.now = START
        self.size = size
        self.names = 0

    def tick(self) -> int:
        self.now += self.random.choice([0, 1, 1, 3]) * STEP
        return self.now

    def uid(self, stem: str) -> str:
        self.names += 1
        return f"{stem}{self.names}"

    def run(self) -> History:
        rng = self.random
        self.processes = [f"p{n}" for n in range(rng.randint(1, 3))]
        for process in self.processes:
            about = {"e": "process", "process": process, "host": f"host {process}", "pid": 7}
            self.history.events.append((about, process))
        for _ in range(rng.randint(1, 2)):
            self.job()
        for process in self.processes:
            if rng.random() < 0.3:
                last = max((e["t"] for e, p in self.history.events if p == process and "t" in e), default=0)
                self.history.gone[process] = max(last, START) + rng.choice([0, STEP])
        if rng.random() < 0.5:
            self.history.swept_at = self.now + rng.choice([0, 2 * DAY])
        return self.history

    def job(self) -> None:
        rng, process = self.random, self.random.choice(self.processes)
        tracked = rng.random() < 0.2
        uid = self.uid("J")
        run_id = f"260101-{self.names:06d}"
        if tracked:
            job = Writer(self, self.uid("T"), process, f"{uid}#tracking")
            deadline = self.now + DAY
            opening = {"kind": "j", "job": uid, "name": "tracked"}
            job.write("open", free=1, deadline=deadline, id=run_id, **opening)
        else:
            job = Writer(self, uid, process)
            job.write("open", kind="j", job=uid, name="nightly", id=run_id, lane=1, to=["airtable:app1"])
        clients = [f"client {n}" for n in range(rng.randint(0, 3))]
        for _ in range(rng.randint(0, self.size)):
            if clients and rng.random() < 0.7:
                self.client_part(uid, job.part or job.uid, process, tracked, rng.choice(clients))
            elif not tracked and rng.random() < 0.4:
                self.operation(uid, job.uid, job.uid, process, None, 2)
            else:
                self.work(job, outside=tracked)
        if rng.random() < 0.3 and not tracked:
            self.track(uid, f"{uid}#tracking", {"kind": "j", "job": uid, "name": ""})
        if rng.random() < 0.8:
            self.close(job)
        if rng.random() < 0.2:
            self.work(job, outside=tracked)

    def client_part(self, job: str, parent: str, process: str, tracked: bool, client: str) -> None:
        rng = self.random
        opening: dict[str, Any] = {"kind": "c", "job": job, "name": client, "client": client}
        if rng.random() < 0.2:
            run = f"{job}/{client}"
            made_by_blocks = any(
                e.get("client") == client and e["job"] == job for e, _ in self.history.events
            )
            self.track(run, f"{run}#tracking", opening, passive=made_by_blocks)
            return
        home = process if rng.random() < 0.7 else rng.choice(self.processes)
        writer = Writer(self, self.uid("C"), home)
        extra: dict[str, Any] = {"lane": rng.choice([1, 1, 2])}
        if not tracked:
            extra["parent"] = parent
        if rng.random() < 0.4:
            extra |= {"part": rng.choice(["scoring", "posts"]), "attempt": rng.randint(1, 3)}
        if rng.random() < 0.1:
            extra |= {"free": 1, "deadline": self.now + rng.choice([2 * STEP, DAY])}
        writer.write("open", **opening, **extra)
        for _ in range(rng.randint(0, self.size)):
            choice = rng.random()
            if choice < 0.25:
                self.operation(job, writer.uid, writer.uid, home, client, 2)
            elif choice < 0.35:
                self.work(
                    Writer(self, f"{writer.uid}.{self.uid('fork')}", rng.choice(self.processes), writer.uid)
                )
            elif choice < 0.4:
                writer.write("skip", reason=rng.choice(["tier Basic", "paused"]))
            else:
                self.work(writer)
        if rng.random() < 0.8:
            self.close(writer)

    def operation(
        self, job: str, top: str, parent: str, process: str, client: str | None, depth: int
    ) -> None:
        rng = self.random
        home = process if rng.random() < 0.85 else rng.choice(self.processes)
        writer = Writer(self, self.uid("O"), home)
        of = {} if client is None else {"client": client}
        name = rng.choice(["fetch", "score"])
        writer.write(
            "open", kind="o", job=job, name=name, top=top, parent=parent, lane=rng.choice([1, 2]), **of
        )
        for _ in range(rng.randint(0, 3)):
            if depth and rng.random() < 0.3:
                self.operation(job, top, writer.uid, process, client, depth - 1)
            else:
                self.work(writer)
        if rng.random() < 0.85:
            self.close(writer)

    def track(self, run: str, part: str, opening: dict[str, Any], *, passive: bool = True) -> None:
        """Write what `JobTracking` writes: an opening, a change with the instant as epoch, a close."""
        rng = self.random
        writer = Writer(self, self.uid("T"), rng.choice(self.processes), part)
        how: dict[str, Any] = {"passive": 1} if passive else {"deadline": self.now + DAY}
        writer.write("open", free=1, **how, **opening)
        self.work(writer, outside=True)
        if rng.random() < 0.4:
            self.close(writer)

    def work(self, writer: Writer, *, outside: bool = False) -> None:
        rng = self.random
        epoch = self.now if outside else getattr(writer, "epoch", 0)
        x = {"x": epoch} if epoch else {}
        kind = rng.choice(["add", "add", "set", "item", "usage", "span", "span", "cost", "error", "note"])
        if kind == "add":
            writer.write("add", c={rng.choice(["posts", "leads", "calls made"]): rng.randint(0, 5)}, **x)
        elif kind == "set":
            if not outside:
                epoch = writer.epoch = getattr(writer, "epoch", 0) + 1  # type: ignore[attr-defined]
            name = rng.choice(["posts", "leads", "errors", "prompt_tokens"])
            writer.write(
                "set", c={name: rng.randint(0, 9)}, f={"apify_run_id": self.uid("run")}, x=epoch or 1
            )
        elif kind == "item":
            writer.write("item", key=f"lead {rng.randint(1, 4)}", c={"items": rng.randint(0, 3)}, **x)
        elif kind == "usage":
            self.by_hand(writer)
        elif kind == "span":
            self.span(writer)
        elif kind == "cost":
            key = {"key": f"run {rng.randint(1, 3)}"} if rng.random() < 0.7 else {}
            writer.write("cost", source=rng.choice(["apify", "proxy"]), micro_usd=rng.randint(0, 999), **key)
        elif kind == "error":
            writer.write(
                "error", type="ValueError", message=rng.choice(["bad profile", "no name"]), item="17"
            )
        else:
            writer.write("note", text=self.uid("note "))

    def by_hand(self, writer: Writer) -> None:
        rng = self.random
        fact: dict[str, Any] = {"sc": "jobspan", "h": True, "me": False}
        if rng.random() < 0.9:
            fact = {"sc": "jobspan", "h": True, "in": rng.randint(0, 50), "out": rng.randint(0, 9), "m": "m"}
        if rng.random() < 0.2:
            fact |= {"c": "0.0000015"}
        key = {"key": f"response {rng.randint(1, 4)}"} if rng.random() < 0.7 else {"key": None}
        writer.write("usage", u=fact, **key)

    def span(self, writer: Writer) -> None:
        """Write what one or two instrumentations say of a call, and of the spans around it."""
        rng = self.random
        trace = rng.choice(["trace 1", "trace 2"])
        parent = self.uid("s")
        self.now += STEP
        usage = {"in": rng.randint(1, 3) * 10, "out": rng.randint(1, 2), "m": "m"}
        if rng.random() < 0.3:
            usage |= {"id": f"chatcmpl-0123456789-{rng.randint(1, 3)}"}
        for scope in rng.sample(["one", "two", "openinference.x"], rng.randint(1, 2)):
            span = {
                "t": trace,
                "s": self.uid("s"),
                "p": parent,
                "sc": scope,
                "b": self.now - STEP,
                "e": self.now,
            }
            by = {"by": rng.choice(["only", "job"])} if rng.random() < 0.3 else {}
            event = writer.write("span", u=span | (usage if rng.random() < 0.9 else {"me": False}), **by)
            if rng.random() < 0.1:
                writer.write("span", u={"t": trace, "s": event["u"]["s"]}, void=1)
        if rng.random() < 0.5:
            above = self.uid("s")
            writer.write("path", tr=trace, up={parent: above})
            if rng.random() < 0.5:
                total = {"t": trace, "s": above, "sc": "one", "r": "agg", "in": 40, "out": 3}
                writer.write("span", u=total | {"b": self.now - 2 * STEP, "e": self.now + STEP})

    def close(self, writer: Writer) -> None:
        rng = self.random
        how = rng.choice(["ok", "ok", "ok", "failed", "canceled", "timed_out", "with_errors"])
        why = {} if how in ("ok", "with_errors") else {"type": "LookupError", "message": "it went wrong"}
        writer.write("close", how=how, lane=rng.choice([1, 2]), **why)


def legal_history(seed: int, size: int = 4) -> History:
    """Return the random history of a seed."""
    return Script(seed, size).run()
