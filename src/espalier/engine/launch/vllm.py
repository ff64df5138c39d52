"""Starts vLLM's server in a process of its own, from an environment in which vLLM is installed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from espalier.core.errors import ConfigError, EngineLostError
from espalier.core.net.http import HttpClient, RefusedError, UnreachableError

EXTENSION = "vllm_worker.WorkerExtension"
LOOK_SECONDS = 0.5
END_SECONDS = 15.0
GUARD = Path(__file__).with_name("guard.py")
SHOWN_LINES = 8


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. log: what it printed."""

    url: str
    popen: subprocess.Popen[bytes]
    log: Path

    def end(self) -> None:
        """End it, with the processes that it started."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        try:
            self.popen.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def command(
    python: Path,
    model: Path,
    port: int,
    *,
    dtype: str,
    max_len: int,
    max_rows: int,
    lora_rank: int = 0,
    more: Sequence[str] = (),
) -> list[str]:
    """The command line of the server. lora_rank: of the adapters that it will be given; 0 for full weights."""
    lora = ["--enable-lora", "--max-loras", "2", "--max-lora-rank", str(lora_rank)] if lora_rank else []
    return [
        *(str(python), "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(model), "--served-model-name", "policy"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--dtype", dtype, "--max-model-len", str(max_len), "--max-num-seqs", str(max_rows)),
        "--enable-scale-out",  # the token endpoint
        "--skip-tokenizer-init",
        *lora,
        "--worker-extension-cls",
        EXTENSION,
        *more,
    ]


def environment(*, lora: bool, kv_gib: int, cores: Sequence[int]) -> dict[str, str]:
    """The environment of the server: its development endpoints, no reports to anyone, and nothing from the network."""
    found = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    found |= {
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": str(kv_gib),
        "PYTHONPATH": str(Path(__file__).parent / "extension"),  # and nothing else of this package
    }
    if cores:
        found |= {"OMP_NUM_THREADS": str(len(cores)), "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores))}
    if lora:
        found["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    return found


async def start(words: Sequence[str], port: int, env: dict[str, str], log: Path, *, seconds: float) -> Server:
    """Start the server, and wait until it is healthy.

    Raises ConfigError if there is no such program, and EngineLostError, with the last lines that it printed, if it ends
    or is not healthy within `seconds`.
    """
    require(Path(words[0]))
    with log.open("wb") as out:
        popen = _spawned(words, env, out)
    server = Server(f"http://127.0.0.1:{port}", popen, log)
    client = HttpClient(server.url)
    try:
        async with asyncio.timeout(seconds):
            while not await _healthy(client) or popen.poll() is not None:
                if popen.poll() is not None:
                    raise EngineLostError(f"vLLM's server ended with exit status {popen.returncode}:\n{_tail(log)}")
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        server.end()
        raise EngineLostError(f"vLLM's server was not healthy after {seconds:g} s:\n{_tail(log)}") from None
    except BaseException:
        server.end()
        raise
    finally:
        await client.close()
    return server


def require(python: Path) -> None:
    """Raises ConfigError if there is no such program."""
    if not python.exists():
        raise ConfigError(
            f"engine.vllm.python: there is no {python}. `make vllm` makes an environment with vLLM's CPU server; or "
            "name the Python of an environment in which vLLM is installed, or the address of a running server in "
            "engine.vllm.urls"
        )


def _spawned(words: Sequence[str], env: dict[str, str], out: IO[bytes]) -> subprocess.Popen[bytes]:
    """The guard that runs the server: it ends it also where this process is killed."""
    return subprocess.Popen(
        [sys.executable, "-I", str(GUARD), *words],
        env=env,
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=subprocess.STDOUT,
        process_group=0,
    )


async def _healthy(client: HttpClient) -> bool:
    try:
        await client.text("/health", seconds=5.0)
    except (UnreachableError, RefusedError):
        return False
    return True


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
