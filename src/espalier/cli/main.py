"""`espalier COMMAND ...`: finds the command, and turns errors meant for the user into a message and an exit code."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence

from espalier import __version__
from espalier.core.errors import EspalierError, nearest

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

REFUSALS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
)
"""What a system says to a program that is not at fault: a full or read-only disk, rights, limits."""

COMMANDS: Mapping[str, str] = {
    "run": "run a recipe",
    "resume": "continue a run that was stopped or killed",
    "new": "write a task, an environment, a reward or an algorithm of your own, with a recipe",
    "list": "show the recipes and the jobs",
    "config": "show a recipe's values and where each comes from",
    "data": "show what models and data there are, and fetch what is missing",
    "report": "make the HTML report of a run again, or follow a run in the browser",
    "watch": "follow a run in the terminal",
    "doctor": "say in words what is wrong with a run, and what to do",
    "runs": "show a table of the runs",
    "compare": "make one report of several runs",
    "eval": "measure a model on tasks: avg@n, pass@k, samples",
    "chat": "talk to a model in the terminal",
    "serve": "serve a model behind an OpenAI-compatible API",
    "graph": "generate or convert a large graph",
    "serving": "simulate and explain request schedulers, measure engines, run the gateway",
    "swarm": "show flights, make formations, time plans",
    "terrain": "traversability maps of point clouds, and routes over them",
}


def _load(command: str) -> tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int]]:
    """The two functions of a command: one declares its arguments, one does the work and returns the exit code."""
    match command:
        case "run" | "resume":
            from espalier.cli.commands import running

            return (running.add_run, running.run) if command == "run" else (running.add_resume, running.resume)
        case "new":
            from espalier.cli.commands import new

            return new.add_new, new.write_new
        case "graph":
            from espalier.cli.commands import graphs

            return graphs.add_graph, graphs.graph
        case "serving":
            from espalier.cli.commands import serving

            return serving.add_serving, serving.serving
        case "terrain":
            from espalier.cli.commands import terrain

            return terrain.add_terrain, terrain.terrain
        case "swarm":
            from espalier.cli.commands import swarm

            return swarm.add_swarm, swarm.swarm
        case "data":
            from espalier.cli.commands import data

            return data.add_data, data.data
        case "runs" | "compare":
            from espalier.cli.commands import runs

            return (runs.add_runs, runs.show_runs) if command == "runs" else (runs.add_compare, runs.compare)
        case "watch" | "doctor":
            from espalier.cli.commands import doctor, watching

            return (watching.add_watch, watching.watch) if command == "watch" else (doctor.add_doctor, doctor.doctor)
        case "eval":
            from espalier.cli.commands import evaluating

            return evaluating.add_eval, evaluating.evaluate
        case "chat":
            from espalier.cli.commands import chatting

            return chatting.add_chat, chatting.chat
        case "serve":
            from espalier.cli.commands import serve

            return serve.add_serve, serve.serve
        case _:
            from espalier.cli.commands import showing

            return {
                "list": (showing.add_list, showing.show_list),
                "config": (showing.add_config, showing.show_config),
                "report": (showing.add_report, showing.make_report),
            }[command]


def share_cores(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let idle OpenMP threads sleep soon, unless the user has chosen. Has effect before torch is imported.

    libgomp's default is to spin: as fast on an idle machine, several times slower beside one other busy process.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", "5000")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`; returns the exit code: 0, 2 after a user's mistake, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"espalier {__version__}")
        return 0
    share_cores()
    logging.getLogger("asyncio").addFilter(_unless_interrupted)
    try:
        return _call(words[0], words[1:])
    except EspalierError as error:
        print(f"espalier: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of `espalier list | head` has gone
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        print(f"espalier: {error.filename or 'a file'}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("espalier: stopped", file=sys.stderr)
        return INTERRUPTED


def _unless_interrupted(record: logging.LogRecord) -> bool:
    """Keeps asyncio from printing a traceback for each task that the second Ctrl-C ended."""
    return not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt))


def _call(command: str, words: Sequence[str]) -> int:
    if command not in COMMANDS:
        meant = nearest(command, COMMANDS).rstrip("?")
        raise EspalierError(f"there is no command {command!r}{meant}: see `espalier --help`")
    add_arguments, work = _load(command)
    parser = argparse.ArgumentParser(f"espalier {command}", description=COMMANDS[command], allow_abbrev=False)
    add_arguments(parser)
    return work(parser.parse_intermixed_args(words))


def _help() -> str:
    lines = [f"  {command:<8} {summary}" for command, summary in COMMANDS.items()]
    end = "`espalier COMMAND --help` says more. To begin: espalier run rl/quickstart"
    return "\n".join(["usage: espalier COMMAND ...", "", *lines, "", end])


if __name__ == "__main__":
    sys.exit(main())
