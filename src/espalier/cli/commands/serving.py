"""`espalier serving`: simulate, explain, calibrate, and the gateway with its fake engines."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from espalier.cli.listening import serve_app, serve_beside
from espalier.cli.options import settle
from espalier.core.data import DataRoot
from espalier.core.errors import EspalierError, MissingExtraError, nearest
from espalier.core.recipe import yaml12
from espalier.core.recipe.layers import read_layers
from espalier.core.recipe.resolve import load_settings

if TYPE_CHECKING:
    from espalier.serving.model.steptime import DecodeTime, PrefillTime

POOR = 0.8
"""A fit that explains less of the variance is said to be poor."""
MOST_LOAD = 2.0
WORK = {
    "simulate": "TRACE [key=value ...]: one table of schedulers on a trace, printed",
    "explain": "TRACE [key=value ...]: the first decisions of one scheduler, each with its reason",
    "calibrate": "CSV | JSONL | URL: step times from (tokens, seconds) pairs, or from a live endpoint",
    "gateway": "SETTINGS.yaml [key=value ...]: serve an OpenAI-compatible gateway in front of engines",
    "fake-engine": "[key=value ...]: serve an engine without a model, in lock step; keys are step times",
}

SOURCES = """TRACE is a file, or `constant` or `lognormal` with lengths.prompt=, lengths.output= and lengths.cv=.
Keys of simulate and explain are those of traffic in a recipe, or begin with prefill., decode., targets. or trouble."""
TAKES = {
    "data_root": ("simulate", "explain"),
    "pool": ("simulate", "explain"),
    "load": ("simulate", "explain"),
    "policy": ("explain",),
    **dict.fromkeys(("chunk", "requests", "kv", "beyond", "model"), ("calibrate",)),
    **dict.fromkeys(("port", "ranks"), ("fake-engine",)),
}
"""The subcommands of each option."""
DEFAULTS = {
    "pool": "4x32",
    "load": 0.8,
    "policy": "sbs_whole",
    "chunk": 4096,
    "requests": 256,
    "kv": 500_000,
    "model": "fake",
    "port": 9000,
    "ranks": 8,
}
SECTIONS = ("prefill", "decode", "targets")
WIDE = 120
"""Columns, where nobody sees how wide the output is."""


def add_serving(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier serving`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "\n".join(f"{name} {what}" for name, what in WORK.items()) + "\n\n" + SOURCES
    parser.add_argument("what", metavar="{" + ",".join(WORK) + "}")
    parser.add_argument("words", nargs="*", metavar="TRACE | FILE | key=value", help="see above")
    parser.add_argument(
        "--data-root", type=Path, help="simulate, explain: folder of data sets (default: ESPALIER_DATA)"
    )
    parser.add_argument("--pool", help="simulate, explain: instances x ranks (default: 4x32)")
    parser.add_argument("--load", type=float, help="simulate, explain: share of the pool's capacity (default: 0.8)")
    parser.add_argument("--policy", help="explain: the policy (default: sbs_whole)")
    parser.add_argument("--chunk", type=int, help="calibrate: tokens of a rank in a pass (default: 4096)")
    parser.add_argument("--requests", type=int, help="calibrate: requests of a rank that decodes (default: 256)")
    parser.add_argument("--kv", type=int, help="calibrate: cached tokens of a rank that decodes (default: 500000)")
    parser.add_argument("--beyond", action="store_true", help="calibrate: even far beyond what was measured")
    parser.add_argument("--model", help="calibrate: the endpoint's model (default: fake)")
    parser.add_argument("--port", type=int, help="fake-engine: port to listen on (default: 9000)")
    parser.add_argument("--ranks", type=int, help="fake-engine: ranks (default: 8)")


def serving(args: argparse.Namespace) -> int:
    """Do what the first word says."""
    if args.what not in WORK:
        raise EspalierError(f"espalier serving cannot {args.what!r}{nearest(args.what, WORK)}")
    settle(args, "espalier serving", TAKES, **DEFAULTS)
    alone = args.what == "calibrate"
    if args.what != "fake-engine" and (not args.words or (alone and len(args.words) > 1)):
        raise EspalierError(f"usage: espalier serving {args.what} {WORK[args.what]}")
    try:
        match args.what:
            case "simulate":
                return _simulate(args)
            case "explain":
                return _explain(args)
            case "calibrate":
                return _calibrate(args)
            case "gateway":
                return _gateway(Path(args.words[0]), args.words[1:])
            case _:
                return _fake_engine(args)
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "aiohttp", "serving") from error


def _settings(words: list[str]) -> dict[str, Any]:
    return read_layers([], words).data


def _config(args: argparse.Namespace, arms: dict[str, Any]) -> Any:
    from espalier.serving.config import CompareConfig

    if not 0.0 < args.load <= MOST_LOAD:
        raise EspalierError(
            f"--load {args.load:g}: loads are shares of what the pool can take, above 0 and to {MOST_LOAD:g}"
        )
    given = _settings(args.words[1:])
    sections = {name: given.pop(name) for name in SECTIONS if name in given}
    trouble = given.pop("trouble", {})
    fields = {"pools": [args.pool], "loads": [args.load], "seeds": 1, **sections}
    fields["arms"] = {name: {**arm, "trouble": trouble} for name, arm in arms.items()}
    return CompareConfig.of(traffic={"traffic": {"trace": args.words[0], **given}}, **fields)


def _simulate(args: argparse.Namespace) -> int:
    from espalier.serving.figures import figures
    from espalier.serving.sim.scenario import Scenario, find_trace, run_scenario

    names = ("random", "round_robin", "power_of_two", "least_requests", "least_tokens", "pull", "sbs", "sbs_whole")
    config = _config(args, {name: {"policy": name} for name in names})
    trace = find_trace(config.traffic["traffic"], DataRoot.find(args.data_root))
    columns = {"mean": "ttft_mean", "p50": "ttft_p50", "p90": "ttft_p90", "p99": "ttft_p99"}
    columns |= {"held": "held", "queued": "queued", "busy": "utilisation"}
    columns |= {"TPOT": "tpot_mean", "tokens/s": "throughput"} if config.decode else {}
    columns |= {"good": "good"} if config.targets.given else {}
    found = {}
    for name in names:
        log, _ = run_scenario(config, Scenario(args.pool, "traffic", args.load, name, 0), trace)
        found[name] = figures(config, log, args.pool)
    columns |= {"unfinished": "unfinished"} if any(one["unfinished"] for one in found.values()) else {}
    table = Table(title=f"{trace.name}, {args.pool}, load {args.load:g}: time to first token, seconds")
    for column in ("", *columns):
        table.add_column(column, justify="right")
    for name, one in found.items():
        table.add_row(name, *(_cell(one[key]) for key in columns.values()))
    console = _console()
    console.print(table)
    for note in trace.notes:
        console.print(note, soft_wrap=True)
    return 0


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:,.0f}" if value > 1000 else f"{value:.3f}"


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, WIDE)
    return console


def _explain(args: argparse.Namespace) -> int:
    from espalier.serving.sim.scenario import Scenario, find_trace, run_scenario

    config = _config(args, {"one": {"policy": args.policy}, "least_tokens": {"policy": "least_tokens"}})
    trace = find_trace(config.traffic["traffic"], DataRoot.find(args.data_root))
    log, _ = run_scenario(config, Scenario(args.pool, "traffic", args.load, "one", 0), trace)
    table = Table(title=f"{args.policy} on {trace.name}, {args.pool}, load {args.load:g}")
    for column in ("id", "arrives", "tokens", "placed", "at", "why", "begins", "first token"):
        table.add_column(column, justify="right")
    for request in log.requests[:40]:
        k = request.id
        times = (log.placed[k], "{}:{}".format(*log.where[k]), log.why[k], log.begun[k], log.first[k])
        row = [f"{one:.3f}" if isinstance(one, float) else str(one) for one in times]
        table.add_row(str(k), f"{request.arrival:.3f}", str(request.prompt), *row)
    console = Console()
    console.print(table)
    lines = [*(f"{reason}: {number}" for reason, number in log.reasons.items()), *trace.notes]
    console.print("\n".join(lines), highlight=False, soft_wrap=True)
    return 0


def _calibrate(args: argparse.Namespace) -> int:
    import numpy as np

    from espalier.serving.model.calibrate import DECODE, fit, read_measurements
    from espalier.serving.model.probe import probe

    source, console = args.words[0], Console(highlight=False)
    if ":" in source and not source.startswith("http") and not Path(source).exists():
        raise EspalierError(f"{source} is no file; an endpoint begins with http:// or https://")
    if source.startswith("http"):
        sizes = [args.chunk * k // 8 for k in range(1, 9)]
        pairs = np.array(list(probe(source, args.model, sizes)))
        found = fit(("tokens",), pairs[:, :1], pairs[:, 1])
    else:
        found = fit(*read_measurements(Path(source)))
    console.print(f"{found.n} measurements, R2 {found.r2:.4f}, 95% of residuals below {1000 * found.p95:.2f} ms")
    if found.r2 < POOR:
        console.print(f"[yellow]a line explains little of this (R2 below {POOR:g}): do not rely on it[/yellow]")
    if source.startswith("http"):
        console.print(f"passes of --chunk {args.chunk} tokens were assumed; that is the engine's chunked prefill size")
    times: PrefillTime | DecodeTime
    if found.names == DECODE:
        stage, times = "decode", found.decode(args.requests, args.kv, beyond=args.beyond)
    else:
        stage, times = "prefill", found.prefill(args.chunk, beyond=args.beyond)
    rounded = {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in times}
    console.print(yaml12.dump({stage: rounded}))
    return 0


def _gateway(file: Path, overrides: list[str]) -> int:
    from espalier.serving.gateway.app import Gateway
    from espalier.serving.gateway.config import GatewayConfig

    settings = load_settings(GatewayConfig, [file], overrides)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    gateway = Gateway(settings)
    if settings.admin_port is not None:
        serve_beside(gateway.app, gateway.admin, settings.admin_host, settings.admin_port, "admin of the gateway")
    serve_app(gateway.app, settings.host, settings.port, f"gateway of {len(settings.targets)} instances")
    return 0


def _fake_engine(args: argparse.Namespace) -> int:
    from espalier.serving.gateway.fake import FakeEngine, FakeSettings
    from espalier.serving.model.steptime import PrefillTime

    if args.ranks < 1:
        raise EspalierError(f"--ranks is at least 1, not {args.ranks}")
    settings = FakeSettings(args.ranks, PrefillTime.of(**_settings(args.words)))
    serve_app(FakeEngine(settings).app, "127.0.0.1", args.port, f"fake engine of {args.ranks} ranks")
    return 0
