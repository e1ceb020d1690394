"""When the next connection is tried, and a clock that is moved by hand."""

from collections import deque
from pathlib import Path

MINUTE, HOUR = 60_000, 3_600_000


class Pace:
    """Waits that grow from a tenth of a second to a minute, at random, and never more tries than a server has to bear."""

    def __init__(self, random):
        self.random, self.level = random, 0
        self.tries: deque[int] = deque(maxlen=300)

    def begun(self, now: int) -> None:
        self.tries.append(now)

    def succeeded(self) -> None:
        """A session came about."""
        self.level = 0
        self.tries.clear()

    def next(self, now: int, floor: int = 0) -> int:
        """When the next try may begin, `floor` ms from now at the earliest."""
        wait = min(100 << self.level, MINUTE)
        self.level = min(self.level + 1, 10)
        # Clients that were cut together should not come back together.
        due = now + floor + int(wait * self.random.uniform(0.5, 1.0))
        #= spec/02-errors-and-limits.md#error-and-goaway
        ## [ERR-046] While its tries fail a client MUST NOT begin more than 20 connections in a minute, nor more than 300
        ## in an hour.
        for count, span in ((20, MINUTE), (300, HOUR)):
            if len(self.tries) >= count:
                due = max(due, self.tries[-count] + span + 1)
        return due


class ManualClock:
    """Stands still but for `advance`, also while no process lives: as it was when `keep` was called."""

    def __init__(self, path: Path):
        self.path = path
        self.now = int(path.read_text()) if path.exists() else 1_700_000_000_000

    def __call__(self) -> int:
        return self.now

    def advance(self, to: int) -> None:
        self.now = to

    def keep(self) -> None:
        self.path.write_text(str(self.now))
