"""When to send work to engines that do not wait for it: their reports come too late to add to the next pass."""

from __future__ import annotations

NEVER = float("inf")


class PassTime:
    """Duration of a pass by the most tokens of a rank in it: a line by least squares, older passes weighing less.

    weight: of the newest pass. error: mean of |measured - expected| seconds. Both ours.
    """

    def __init__(self, weight: float = 0.02) -> None:
        self.weight = weight
        self.error = 0.0
        self._sums = (0.0, 0.0, 0.0, 0.0, 0.0)

    def hear(self, tokens: int, seconds: float) -> None:
        """A pass of so many took so long."""
        keep = 1.0 - self.weight
        if self._sums[0]:
            self.error = keep * self.error + self.weight * abs(seconds - self.seconds(tokens))
        terms = (1.0, tokens, seconds, tokens * tokens, tokens * seconds)
        n, x, y, xx, xy = (keep * old + new for old, new in zip(self._sums, terms, strict=True))
        self._sums = (n, x, y, xx, xy)

    def seconds(self, tokens: int) -> float:
        """Expected: the mean until sizes have differed, 0 until a pass was heard of."""
        n, x, y, xx, xy = self._sums
        if not n:
            return 0.0
        spread = xx - x * x / n
        slope = max((xy - x * y / n) / spread, 0.0) if spread > n else 0.0
        return max(y / n + slope * (tokens - x / n), 0.0)


class Ahead:
    """The last moment at which work still reaches an instance's next pass.

    An engine that begins its next pass without waiting says that one has ended when nothing can be added to the next
    any more. So its end is foretold, from the passes so far and from `late`: seconds from the end of a pass to the
    report and back, learned from batches that woke an idle instance. Work goes out `margin` of a full pass and twice
    the mean error of the forecast before that: to be late costs a pass, to be early a moment. `on` once an engine was
    heard not to wait. Source: ours.
    """

    def __init__(self, chunk: int, margin: float = 0.03) -> None:
        self.chunk, self.margin = chunk, margin
        self.on = False
        self.late = 0.0
        self.time = PassTime()
        self._known = False
        self._by: dict[int, float] = {}
        self._woken: dict[int, float] = {}

    def hear(self, instance: int, tokens: int, seconds: float, begun: int, now: float) -> None:
        """A pass of `tokens` (of its busiest rank) has ended, and one of `begun` has started; 0 for none."""
        self.time.hear(tokens, seconds)
        sent = self._woken.pop(instance, None)
        if sent is not None:
            late = max(now - sent - seconds, 0.0)
            self.late += (0.2 if self._known else 1.0) * (late - self.late)
            self._known = True
        if begun:
            self.on = True
            self._by[instance] = now - self.late + self.time.seconds(begun)

    def sent(self, instance: int, tokens: int, idle: bool, now: float) -> None:
        """Work went out for a pass of `tokens`, that begins at once (`idle`) or when the one under way ends."""
        if idle:
            self._woken[instance] = now
            self._by.pop(instance, None)
        self._by[instance] = max(now, self._by.get(instance, now)) + self.time.seconds(tokens)

    def forget(self, instance: int) -> None:
        """It is gone."""
        self._by.pop(instance, None)
        self._woken.pop(instance, None)

    def window(self, instance: int) -> tuple[float, float]:
        """From when to when to send work for the pass after the one under way."""
        by = self._by.get(instance, NEVER)
        return by - self.margin * self.time.seconds(self.chunk) - 2.0 * self.time.error, by
