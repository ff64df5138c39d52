"""`espalier serve`: a model folder behind an OpenAI-compatible API."""

from __future__ import annotations

import argparse
from pathlib import Path

from espalier.core.errors import DataError, MissingExtraError
from espalier.engine.config import EngineConfig

_FIELDS = EngineConfig.model_fields


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=Path, help="Hugging Face folder: config.json, safetensors, tokenizer.json")
    parser.add_argument("--name", help="the model's name in the API (default: the folder's)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--renderer",
        choices=["template", "glm", "plain"],
        help="chat format (default: as the folder records it, else its template, or plain)",
    )
    parser.add_argument(
        "--thinking",
        action=argparse.BooleanOptionalAction,
        help="whether the assistant thinks before it answers (default: as the folder records, else not)",
    )
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="type of the weights")
    for option in ("max_rows", "max_len", "prefill_tokens", "retain_rows"):
        field = _FIELDS[option]
        text = f"{(field.description or '').replace('%', '%%')} (default: {field.default})"
        parser.add_argument(f"--{option.replace('_', '-')}", type=int, default=field.default, help=text)
    parser.add_argument("--grace", type=int, default=10, help="seconds that open requests get at shutdown")


def serve(args: argparse.Namespace) -> int:
    """Serve until interrupted. Open requests get `--grace` seconds to finish."""
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise MissingExtraError(error.name or "uvicorn", "serving") from error
    from espalier.engine.server.app import build_app
    from espalier.engine.server.load import load_service

    if not args.model.is_dir():
        raise DataError(f"{args.model} is no folder: give one with config.json, model.safetensors and tokenizer.json")
    config = uvicorn.Config(
        build_app(load_service(args)),
        host=args.host,
        port=args.port,
        log_level="info",
        timeout_graceful_shutdown=args.grace,
    )
    uvicorn.Server(config).run()
    return 0
