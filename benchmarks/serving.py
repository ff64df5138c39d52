"""The scheduler's own speed: simulated requests a second, and the time of one decision. One core.

"peer" is the target of the design, not another program: no public scheduler of this kind runs without its engine.
"""

from __future__ import annotations

import gc
import sys
from time import perf_counter, process_time

import numpy as np

from common import Row, arguments, finish
from espalier.core.data import DataRoot
from espalier.serving.config import CompareConfig, TrafficConfig
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Request
from espalier.serving.sim.scenario import Scenario, find_trace, make_scheduler, run_scenario

POLICIES = ("random", "round_robin", "power_of_two", "least_requests", "least_tokens", "pull", "sbs", "sbs_whole")
POOLS, LOADS = ("4x32", "4x8", "1x8"), (0.5, 0.8)
RATE, DECISION_MS = 100_000, 2.0
HELD, RANKS = 1024, 512


def simulated(requests: int) -> list[Row]:
    """Requests a second of CPU time: each policy over pools and loads, then all together."""
    traffic = TrafficConfig(trace="azure_conv.csv", requests=requests)
    arms = {name: {"policy": name} for name in POLICIES}
    config = CompareConfig.of(pools=POOLS, loads=LOADS, traffic={"azure": traffic}, arms=arms)
    trace = find_trace(traffic, DataRoot.find())
    run_scenario(config, Scenario(POOLS[0], "azure", 0.5, "random", 0), trace)
    rows, total = [], 0.0
    for name in POLICIES:
        seconds = 0.0
        for pool in POOLS:
            for load in LOADS:
                gc.collect()
                begun = process_time()
                run_scenario(config, Scenario(pool, "azure", load, name, 0), trace)
                seconds += process_time() - begun
        total += seconds
        rate = requests * len(POOLS) * len(LOADS) / seconds
        rows.append(Row(f"simulator, {name}", rate, None, "requests/s", None))
    rate = requests * len(POOLS) * len(LOADS) * len(POLICIES) / total
    return [*rows, Row("simulator, all policies", rate, RATE, "requests/s", rate / RATE, must=1.0)]


def decision(policy: str, instances: int, repeats: int) -> Row:
    """Milliseconds of the poll that hands out a batch while 1,024 requests are held, over 512 ranks."""
    rng, times = np.random.default_rng(0), []
    gc.collect()
    for _ in range(repeats):
        arm = CompareConfig.of(arms={"one": {"policy": policy}}).arms["one"]
        scheduler = make_scheduler(arm, Pool.idle(instances, RANKS // instances, 4096))
        for k, tokens in enumerate(rng.integers(16, 4096, HELD).tolist()):
            scheduler.on_arrival(Request(k, 0.0, tokens), 0.0)
        begun = perf_counter()
        decisions, _ = scheduler.poll(0.0)
        times.append(1000 * (perf_counter() - begun))
        if not decisions:
            raise AssertionError(f"{policy} placed nothing")
    median, (low, high) = float(np.median(times)), np.percentile(times, [10, 90])
    ratio, spread = DECISION_MS / median, (DECISION_MS / float(high), DECISION_MS / float(low))
    name = f"{policy}, {HELD} held, {instances} x {RANKS // instances} ranks"
    return Row(name, median, DECISION_MS, "ms", ratio, must=1.0, spread=spread)


def main() -> int:
    """Run all, print the table."""
    args = arguments(__doc__ or "").parse_args()
    rows = simulated(5_000 if args.quick else 20_000)
    repeats = 15 if args.quick else 101
    rows += [decision(policy, instances, repeats) for policy in ("sbs", "sbs_whole") for instances in (1, 16)]
    return finish("Scheduler and simulator, beside their targets", rows, args, ("numpy",))


if __name__ == "__main__":
    sys.exit(main())
