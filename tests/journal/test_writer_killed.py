from __future__ import annotations

import random
from collections import Counter

import pytest

from jobspan.journal import Place, is_owned, journals, retire
from tests.journal.observing import numbers, start_writer

pytestmark = pytest.mark.usefixtures("kind")

CODE = """
def work(base):
    n = base
    while True:
        writer.append(event(n, n % 200))
        os.write(1, b"%d\\n" % n)
        n += 1
for base in (1_000_000, 2_000_000, 3_000_000):
    threading.Thread(target=work, args=(base,), daemon=True).start()
work(0)
"""


@pytest.mark.parametrize("trials", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_what_was_acknowledged_before_a_kill_is_in_the_journal(place: Place, trials: int) -> None:
    chance = random.Random(trials)
    for trial in range(trials):
        place_of_trial = Place(place.ledger.with_name(f"{trial}.db"))
        with start_writer(
            place_of_trial, CODE, segment_bytes=chance.choice([500, 5_000, 1 << 26])
        ) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(chance.randrange(1, 800))]
            process.kill()
            said += process.stdout.read().splitlines(keepends=True)
        acknowledged = {int(line) for line in said if line.endswith("\n")}
        assert acknowledged
        found = Counter(numbers(place_of_trial))
        assert acknowledged <= set(found)
        assert len(set(found) - acknowledged) <= 4  # written, but killed before it could say so
        assert max(found.values()) == 1
        assert not any(is_owned(path) for path in journals(place_of_trial))
        assert all(retire(path, place_of_trial) for path in journals(place_of_trial))
        assert Counter(numbers(place_of_trial)) == found
