"""A naive reading of DESIGN section 4: from the list of all events to what each run must say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jobspan.model.usage.call import Call
from jobspan.model.usage.fact import UsageFact
from jobspan.model.usage.resolve import resolve
from tests.model.histories import History

_UNWELL = {"failed": "Failed", "canceled": "Canceled", "timed_out": "Timed_out", "vanished": "Failed"}
_SUCCESS = ["Running", "vanished", "unwell", "Completed_with_errors", "Completed"]


def stamp(event: dict[str, Any]) -> tuple[int, str, int]:
    return (event["t"], event["w"], event["q"])


class Oracle:
    """Answers from the whole list each time; knows nothing of passes, stores or deltas."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.events = [event for event, _ in history.events if event["e"] != "process"]
        self.home = {(event["w"], event["q"]): p for event, p in history.events if event["e"] != "process"}
        self.parts: dict[str, list[dict[str, Any]]] = {}
        for event in self.events:
            self.parts.setdefault(event.get("p") or event["w"], []).append(event)

    # --- a part

    def of(self, part: str, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.parts[part] if event["e"] == kind]

    def opening(self, part: str) -> dict[str, Any]:
        return self.of(part, "open")[0]

    def process(self, part: str) -> str | None:
        opening = self.opening(part)
        return None if opening.get("free") else self.home[opening["w"], opening["q"]]

    def start(self, part: str) -> int:
        return min(event["t"] for event in self.of(part, "open"))

    def passive(self, part: str) -> bool:
        return all(event.get("passive") for event in self.of(part, "open"))

    def deadline(self, part: str) -> int | None:
        return min((e["deadline"] for e in self.of(part, "open") if e.get("deadline")), default=None)

    def left(self, part: str) -> tuple[str, int, int] | None:
        """How a part ended: (how, when, in which lane); None while it is open."""
        found = self._left(part)
        return None if found is None else (found[0], max(found[1], self.start(part)), found[2])

    def _left(self, part: str) -> tuple[str, int, int] | None:
        deadline, swept = self.deadline(part), self.history.swept_at
        free = self.process(part) is None
        closes = sorted(self.of(part, "close"), key=stamp)
        if closes:
            if free and deadline is not None and closes[0]["t"] > deadline:
                return ("timed_out", deadline, 0)
            return (closes[0]["how"], closes[0]["t"], closes[0].get("lane", 0))
        if free:
            late = deadline is not None and swept is not None and deadline <= swept
            return ("timed_out", deadline or 0, 0) if late else None
        parent = self.opening(part).get("parent")
        if parent in self.parts and self.process(parent) == self.process(part):
            around = self.left(parent)
            if around is not None and around[0] != "vanished":
                how, at, lane = around
                if how in ("ok", "with_errors"):
                    how = "ok" if self.opening(part).get("lane", 0) == lane else "failed"
                return (how, at, lane)
        process = self.process(part) or ""
        if process in self.history.gone:
            heard = [e["t"] for e, p in self.history.events if p == process and "t" in e]
            return ("vanished", max([self.history.gone[process], *heard]), 0)
        return None

    def operations(self, part: str) -> list[str]:
        return [
            uid for uid in self.parts if self.opening(uid)["kind"] == "o" and self.opening(uid)["top"] == part
        ]

    def own_errors(self, part: str) -> int:
        sets = [e for e in self.of(part, "set") if "errors" in e["c"]]
        if sets:
            return max(sets, key=lambda e: (e["x"], stamp(e)))["c"]["errors"]
        return len(self.of(part, "error"))

    def errors(self, part: str) -> int:
        return sum(self.own_errors(one) for one in [part, *self.operations(part)])

    def had_errors(self, part: str) -> bool:
        return self.errors(part) > 0 or bool(self.of(part, "error"))

    def status(self, part: str) -> str:
        left = self.left(part)
        below = [self.status(one) for one in self.operations(part)]
        if left is None or "Running" in below:
            return "Running"
        if left[0] in _UNWELL:
            return _UNWELL[left[0]]
        unwell = left[0] == "with_errors" or self.had_errors(part) or any(s != "Completed" for s in below)
        return "Completed_with_errors" if unwell else "Completed"

    def order(self, part: str) -> tuple[int, int, int, str]:
        status, left = self.status(part), self.left(part)
        if status != "Running" and left is not None and left[0] == "vanished":
            status = "vanished"
        elif status in ("Failed", "Timed_out", "Canceled"):
            status = "unwell"
        return (_SUCCESS.index(status), self.opening(part).get("attempt", 1), self.start(part), part)

    def counts(self, part: str) -> dict[str, int]:
        """Counts of a part and its operations, without items."""
        total: dict[str, int] = {}
        for one in [part, *self.operations(part)]:
            names = {n for e in self.parts[one] if e["e"] in ("add", "set") for n in e["c"]}
            for name in names:
                sets = [e for e in self.of(one, "set") if name in e["c"]]
                adds = [e for e in self.of(one, "add") if name in e["c"]]
                value, since = 0, 0
                if sets:
                    last = max(sets, key=lambda e: (e["x"], stamp(e)))
                    value, since = last["c"][name], last["x"]
                value += sum(e["c"][name] for e in adds if e.get("x", 0) >= since)
                total[name] = total.get(name, 0) + value
        return total

    # --- a run

    def tops(self, run: str) -> list[str]:
        found: list[str] = []
        for uid in self.parts:
            opening = self.opening(uid)
            client = opening.get("client")
            name = opening["job"] if client is None else f"{opening['job']}/{client}"
            if name == run and opening["kind"] != "o":
                found.append(uid)
        return found

    def winners(self, run: str) -> tuple[list[str], int]:
        groups: dict[str, list[str]] = {}
        for uid in self.tops(run):
            groups.setdefault(self.opening(uid).get("part") or uid, []).append(uid)
        return [max(group, key=self.order) for group in groups.values()], max(map(len, groups.values()))

    def clients(self, job: str) -> list[str]:
        return sorted({f"{job}/{e['client']}" for e in self.events if e.get("client") and e["job"] == job})

    def is_skipped(self, part: str) -> bool:
        return bool(self.of(part, "skip")) and self.status(part) == "Completed"

    def told(self, parts: list[str]) -> list[str]:
        return [uid for uid in parts if not self.passive(uid) or self.left(uid) is not None]

    def skipped(self, run: str) -> bool:
        told = self.told(self.winners(run)[0])
        return bool(told) and all(map(self.is_skipped, told))

    def items(self, run: str, winners: list[str]) -> dict[str, int]:
        """Items of a run: of each key the latest."""
        total: dict[str, int] = {}
        latest: dict[str, dict[str, Any]] = {}
        for part in winners:
            for one in [part, *self.operations(part)]:
                for event in self.of(one, "item"):
                    held = latest.get(event["key"])
                    if held is None or stamp(held) < stamp(event):
                        latest[event["key"]] = event
                    total |= {name: 0 for name in event["c"]}
        for event in latest.values():
            for name, value in event["c"].items():
                total[name] += value
        return total

    def results(self, run: str) -> tuple[dict[str, int], int]:
        winners = self.winners(run)[0]
        total: dict[str, int] = {}
        errors = 0
        is_job = "/" not in run
        for client in self.clients(run) if is_job else ():
            if not self.skipped(client):
                counts, wrong = self.results(client)
                errors += wrong
                for name, value in counts.items():
                    total[name] = total.get(name, 0) + value
        outside: list[tuple[tuple[int, Any], str, int]] = []
        for part in winners:
            errors += self.errors(part)
            for name, value in self.counts(part).items():
                sets = [e for e in self.of(part, "set") if name in e["c"]]
                if sets and self.process(part) is None:
                    last = max(sets, key=lambda e: (e["x"], stamp(e)))
                    outside.append(((last["x"], stamp(last)), name, value))
                else:
                    total[name] = total.get(name, 0) + value
        for name, value in self.items(run, winners).items():
            total[name] = total.get(name, 0) + value
        total |= {name: value for _, name, value in sorted(outside)}
        return total, errors

    def spend(self, run: str) -> dict[str, int]:
        total: dict[str, int] = {}
        latest: dict[tuple[str, str, str], dict[str, Any]] = {}
        for event in self.events:
            if event["e"] != "cost" or run not in self.runs_of(event):
                continue
            total |= {name: total.get(name, 0) for name in self.numbers(event)}
            if event.get("key") is None:
                for name, value in self.numbers(event).items():
                    total[name] += value
            else:
                place = (event["e"], event.get("source", ""), event["key"])
                if place not in latest or stamp(latest[place]) < stamp(event):
                    latest[place] = event
        for event in latest.values():
            for name, value in self.numbers(event).items():
                total[name] += value
        return total | self.usage(run)

    # --- calls of models

    def facts(self, runs: list[str]) -> tuple[list[tuple[UsageFact, dict[str, Any]]], dict[Any, Any]]:
        """The facts booked in some runs, each with the event that holds, and the links between spans."""
        held: dict[Any, dict[str, Any]] = {}
        links: dict[Any, Any] = {}
        for event in sorted((e for e in self.events if e["e"] in ("usage", "span", "path")), key=stamp):
            run = self.runs_of(event)[-1]
            if run not in runs:
                continue
            if event["e"] == "path":
                links |= {(event["tr"], span): parent for span, parent in event["up"].items()}
            elif event["e"] == "span":
                held[self.top(event), event["u"]["t"], event["u"]["s"]] = event
            else:
                held[run, event["key"] or stamp(event)] = event
        return [(self.fact(event), event) for event in held.values() if not event.get("void")], links

    def top(self, event: dict[str, Any]) -> str:
        part = event.get("p") or event["w"]
        return self.opening(part).get("top") or part

    @staticmethod
    def fact(event: dict[str, Any]) -> UsageFact:
        fact = UsageFact.from_dict(event["u"])
        if event["e"] == "span":
            return fact
        at, writer, seq = stamp(event)
        return replace(
            fact, span_id=f"{writer}!{seq:020}", start_ns=at, end_ns=at, manual=True, response_id=event["key"]
        )

    def calls(self, run: str) -> list[Call]:
        """The calls of a client run, or those of a job that no client run has a witness of."""
        own, links = self.facts([run])
        found = resolve([fact for fact, _ in own], links=links)
        calls = [*found.calls, *found.silent]
        if "/" in run:
            return calls
        runs = [run, *self.clients(run)]
        everything, all_links = self.facts(runs)
        merged = resolve([fact for fact, _ in everything], links=all_links)
        mine = {(fact.trace_id, fact.span_id) for fact, _ in own}
        alone = {s for c in [*merged.calls, *merged.silent] if mine >= set(c.spans) for s in c.spans}
        loose = {
            (fact.trace_id, fact.span_id)
            for fact, event in sorted(own, key=lambda pair: stamp(pair[1]))
            if not fact.manual and (event.get("by") == "job" or fact.aggregate)
        }
        return [call for call in calls if not loose >= set(call.spans) or alone & set(call.spans)]

    def usage(self, run: str) -> dict[str, int]:
        runs = [run] if "/" in run else [run, *self.clients(run)]
        calls = [(call, one) for one in runs for call in self.calls(one)]
        latest: dict[str, tuple[Any, Call]] = {}
        counted = [call for call, _ in calls if call.id is None]
        for call, one in calls:
            place = (call.at_ns, ":".join(call.speaker), one)
            if call.id is not None and (call.id not in latest or latest[call.id][0] < place):
                latest[call.id] = (place, call)
        counted += [call for _, call in latest.values()]
        metered = [call for call in counted if call.requests]
        priced = [call.cost for call in metered if call.cost is not None]
        total = {
            "calls": sum(call.requests for call in metered),
            "unmetered": sum(not call.metered for call in counted),
            "cached": sum(call.cached or 0 for call in metered),
        }
        total = {name: value for name, value in total.items() if value}
        if metered:
            total["prompt"] = sum(call.prompt for call in metered)
            total["completion"] = sum(call.completion for call in metered)
        if priced:
            total["llm_pico"] = int(sum(priced) * 10**12)
        return total

    @staticmethod
    def numbers(event: dict[str, Any]) -> dict[str, int]:
        return {f"cost:{event['source']}": event["micro_usd"]}

    def runs_of(self, event: dict[str, Any]) -> list[str]:
        opening = self.opening(event.get("p") or event["w"])
        job, client = opening["job"], opening.get("client")
        return [job] if client is None else [job, f"{job}/{client}"]

    def run(self, run: str) -> dict[str, Any]:
        counts, errors = self.results(run)
        status = self.run_status(run)
        said: dict[str, Any] = {
            "status": status,
            "start": min(map(self.start, self.tops(run))),
            "end": None if status == "Running" else self.run_end(run),
            "counts": counts,
            "errors": errors,
            "spend": self.spend(run),
            "skipped": "/" in run and self.skipped(run),
            "attempts": self.winners(run)[1],
        }
        return said

    def run_end(self, run: str) -> int:
        ends = [left[1] for uid in self.told(self.tops(run)) if (left := self.left(uid))]
        return max([*ends, *map(self.run_end, self.clients(run) if "/" not in run else ())])

    def run_status(self, run: str) -> str:
        winners = self.winners(run)[0]
        if "Running" in [self.status(uid) for uid in self.told(self.tops(run))]:
            return "Running"
        if "/" in run:
            below = [self.status(uid) for uid in self.told(winners) if not self.is_skipped(uid)]
            return self.combined(below, any(map(self.had_errors, winners)))
        clients = self.clients(run)
        statuses = [self.run_status(client) for client in clients]
        if "Running" in statuses:
            return "Running"
        bad = [left for uid in self.told(winners) if (left := self.left(uid)) and left[0] in _UNWELL]
        if bad:
            last = max(left[1] for left in bad)
            hows = {_UNWELL[how] for how, at, _ in bad if at == last}
            return hows.pop() if len(hows) == 1 else self.tied(winners, last)
        below = [s for s, client in zip(statuses, clients, strict=True) if not self.skipped(client)]
        unwell = any(self.status(uid) != "Completed" for uid in self.told(winners))
        return self.combined(below, unwell)

    def tied(self, winners: list[str], at: int) -> str:
        """Two parts of a job were left badly at the same instant: the later close tells."""
        closes = [sorted(self.of(uid, "close"), key=stamp)[:1] for uid in winners]
        late = [close[0] for close in closes if close and close[0]["how"] in _UNWELL and close[0]["t"] == at]
        return _UNWELL[max(late, key=stamp)["how"]]

    @staticmethod
    def combined(below: list[str], errors: bool) -> str:
        good = {"Completed", "Completed_with_errors"}
        if below and not good & set(below):
            return below[0] if len(set(below)) == 1 else "Failed"
        return "Completed_with_errors" if errors or set(below) - {"Completed"} else "Completed"
