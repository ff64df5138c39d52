"""`espalier chat`: a conversation with a model in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from espalier.cli.places import find_model
from espalier.core.errors import ConfigError, EspalierError, nearest

if TYPE_CHECKING:
    from espalier.engine.conversation import Conversation

COMMANDS = {
    "/system": "TEXT: set the system message (without TEXT: remove it)",
    "/reset": "forget what was said",
    "/quit": "end; so do Ctrl-D, and Ctrl-C twice",
    "/help": "show these commands",
}
CONTEXT = 4096


def add_chat(parser: argparse.ArgumentParser) -> None:
    """Arguments of `espalier chat`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = [f"  {name} {what}" for name, what in COMMANDS.items()]
    parser.description = "\n".join(["Talk to a model in the terminal. Commands while it runs:", *lines])
    parser.add_argument(
        "model", metavar="MODEL", help="a run folder, a model folder, or the name of a pretrained model"
    )
    parser.add_argument("--system", default="", help="system message (default: none)")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 is greedy (default: %(default)s)")
    parser.add_argument("--top-p", type=float, default=1.0, help="nucleus truncation (default: %(default)s)")
    parser.add_argument("--max-tokens", type=int, default=512, help="tokens of an answer (default: %(default)s)")
    parser.add_argument("--max-len", type=int, default=CONTEXT, help="tokens of a conversation (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="seed of sampling (default: random)")
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="type of the weights (default: %(default)s)"
    )


def chat(args: argparse.Namespace) -> int:
    """Talk until the user ends it."""
    if args.max_tokens < 1 or args.max_len < 2:
        raise ConfigError("--max-tokens is 1 or more, --max-len 2 or more")
    conversation = _open(args)
    terminal = sys.stdin.isatty()
    if terminal:
        print("/help shows the commands.")
    with asyncio.Runner() as runner:
        for line in _lines(terminal):
            if line.startswith("/"):
                if not _command(conversation, line):
                    break
            elif line.strip():
                try:
                    runner.run(_answer(conversation, line))
                except KeyboardInterrupt:
                    print("\n(stopped; this answer is forgotten)")
                except EspalierError as error:
                    print(f"({error})")
    return 0


def _open(args: argparse.Namespace) -> Conversation:
    section = find_model(args.model)
    from espalier.engine.api import Sampling
    from espalier.engine.batching.sampler import check
    from espalier.engine.conversation import Conversation
    from espalier.engine.local import LocalEngine
    from espalier.lm.build import build
    from espalier.lm.config import ModelConfig

    seed = secrets.randbits(63) if args.seed is None else args.seed
    sampling = Sampling(max_tokens=args.max_tokens, temperature=args.temperature, top_p=args.top_p, seed=seed)
    check(sampling)
    language = build(ModelConfig.of(**section, dtype=args.dtype), seed=0)
    longest = min(args.max_len, language.decoder.config.max_position_embeddings)
    engine = LocalEngine(language.decoder, max_rows=1, max_len=longest, retain_rows=1)
    conversation = Conversation(engine, language.tokenizer, language.renderer, sampling)
    conversation.system(args.system)
    return conversation


def _lines(terminal: bool) -> Iterator[str]:
    """What the user types, or what a pipe holds, line by line."""
    interrupted = False
    while True:
        try:
            line = input("> " if terminal else "")
        except EOFError:
            return
        except KeyboardInterrupt:
            if interrupted:
                return
            interrupted = True
            print("\n(Ctrl-C again, or /quit, ends it)")
            continue
        interrupted = False
        yield line


async def _answer(conversation: Conversation, text: str) -> None:
    """Print the answer as it comes, its thinking in dim letters where the terminal has them."""
    dim, plain = ("\x1b[2m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    thinking = False
    async for piece in conversation.say(text):
        if piece.reasoning and not piece.restart:
            print(f"{'' if thinking else dim}{piece.reasoning}", end="", flush=True)
            thinking = True
        if piece.content:
            print(f"{plain + chr(10) if thinking else ''}{piece.content}", end="", flush=True)
            thinking = False
    print(f"{plain if thinking else ''}{' (cut: --max-tokens)' if conversation.cut else ''}", flush=True)


def _command(conversation: Conversation, line: str) -> bool:
    """Do what a line that begins with / says; returns whether the conversation goes on."""
    name, _, rest = line.strip().partition(" ")
    match name:
        case "/quit":
            return False
        case "/reset":
            conversation.reset()
            print("(forgotten)")
        case "/system":
            conversation.system(rest.strip())
            print("(the system message is set)" if rest.strip() else "(there is no system message)")
        case "/help":
            print("\n".join(f"{command} {what}" for command, what in COMMANDS.items()))
        case _:
            print(f"(there is no {name}{nearest(name, COMMANDS)})")
    return True
