"""Who has taken how much of one thing: what was taken is always given back."""

import contextlib
from collections import Counter
from collections.abc import Iterator

from kinema_server.errors import BusyError


class Ledger:
    """Accounts of whole amounts, each with the limit that its taker names. For one event loop."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """What all accounts have taken together."""
        return self._taken.total()

    @contextlib.contextmanager
    def taken(self, amount: int, limit: int | None, refusal: str, *, account: str = "") -> Iterator[None]:
        """Take an amount of 0 or more, and give it back on leaving; None for a limit lets everybody.

        Raises:
            BusyError: the account would go beyond its limit; says `refusal`.
        """
        assert amount >= 0, "what is taken is given back by leaving, not by taking less than nothing"
        if limit is not None and self._taken[account] + amount > limit:
            raise BusyError(f"{refusal}; try again later")
        self._taken[account] += amount
        try:
            yield
        finally:
            self._taken[account] -= amount
            if not self._taken[account]:
                del self._taken[account]
