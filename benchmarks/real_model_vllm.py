"""vLLM's CPU server as a peer, from the environment that `make vllm` makes."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from espalier.core.sockets import listening

VENV = Path(__file__).parents[1] / ".venv-vllm"
START_SECONDS = 180
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


class Server:
    """A server of its own process over `folder`, on 127.0.0.1. Raises RuntimeError where it does not start in time."""

    def __init__(self, folder: Path, precision: str, max_len: int) -> None:
        with listening("127.0.0.1", 0) as free:
            self.port = int(free.getsockname()[1])
        settings = {
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "HF_HUB_OFFLINE": "1",
        }
        settings |= {"VLLM_CPU_OMP_THREADS_BIND": "0-1", "OMP_NUM_THREADS": "2"}
        command = [VENV / "bin" / "python", "-m", "vllm.entrypoints.openai.api_server", "--model", folder]
        command += ["--host", "127.0.0.1", "--port", self.port, "--dtype", DTYPES[precision], "--max-num-seqs", 64]
        command += ["--max-model-len", max_len, "--served-model-name", "m", "--enforce-eager"]
        self._process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        begun = time.monotonic()
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() - begun > START_SECONDS:
                self.close()
                raise RuntimeError("the vLLM server did not start")
            time.sleep(0.5)

    def complete(self, prompts: list[list[int]], count: int) -> None:
        """Sample `count` tokens after each of the prompts, all at once."""
        with ThreadPoolExecutor(len(prompts)) as pool:
            list(pool.map(lambda prompt: self._complete(prompt, count), prompts))

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait()

    def _complete(self, prompt: list[int], count: int) -> None:
        body = {
            "model": "m",
            "prompt": prompt,
            "max_tokens": count,
            "min_tokens": count,
            "temperature": 1.0,
            "logprobs": 0,
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions",
            json.dumps({**body, "ignore_eos": True}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            used = json.load(answer)["usage"]["completion_tokens"]
        assert used == count, f"vLLM answered {used} tokens where {count} were asked for"

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
