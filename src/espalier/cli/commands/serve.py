"""`espalier serve`: a model behind an OpenAI-compatible API."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

from espalier.cli.places import find_model, name_of
from espalier.core.errors import ConfigError, MissingExtraError
from espalier.core.sockets import address, listening
from espalier.engine.config import QUEUE, EngineConfig
from espalier.lm.checkpoint.locate import locate

KEY_VARIABLE = "ESPALIER_API_KEY"
_DEFAULTS = {
    "max_rows": "as many as memory holds, up to 128",
    "max_len": "the model's context, or what memory holds",
    "retain_rows": "a quarter of max_rows",
    "prefill_tokens": str(EngineConfig.model_fields["prefill_tokens"].default),
}


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a run folder, a model folder, a GGUF file, a name of `espalier data list`, or owner/name on the hub",
    )
    parser.add_argument("--name", help="the model's name in the API (default: the name of the run or folder)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on, 0 for any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--api-key",
        action="append",
        default=[],
        help=f"API key that requests must send; may be repeated (default: ${KEY_VARIABLE}, else no key is needed)",
    )
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
    parser.add_argument(
        "--dtype", choices=["float32", "bfloat16"], default="float32", help="type of the weights (default: %(default)s)"
    )
    for option, said in _DEFAULTS.items():
        field = EngineConfig.model_fields[option]
        about = (field.description or "").rstrip(".").replace("%", "%%")
        text = f"{about[:1].lower()}{about[1:]} (default: {said})"
        default = field.default if option == "prefill_tokens" else None
        parser.add_argument(f"--{option.replace('_', '-')}", type=int, default=default, help=text)
    parser.add_argument(
        "--queue", type=int, default=QUEUE, help="answers that may wait; more get status 429 (default: %(default)s)"
    )
    parser.add_argument(
        "--grace", type=int, default=10, help="seconds to finish open requests at shutdown (default: %(default)s)"
    )


def serve(args: argparse.Namespace) -> int:
    """Serve until interrupted. All options are checked before the model is read."""
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "uvicorn", "serving") from error
    args = resolved(args)
    locate(args.model)
    if args.grace < 0 or args.queue < 0:
        raise ConfigError("--grace and --queue must be 0 or more")
    keys = api_keys(args.api_key, os.environ)
    with listening(args.host, args.port) as bound:
        from espalier.engine.server.load import load_service
        from espalier.engine.server.running import run

        service = load_service(args)
        greeting = f"{service.name} on {address(bound, args.host)} (Ctrl-C ends it): {service.engine.describe()}"
        run(service, bound, keys=keys, grace=args.grace, greeting=greeting)
    return 0


def resolved(args: argparse.Namespace) -> argparse.Namespace:
    """The options with the model that MODEL means, and the name in the API. Raises RunError for a run without one."""
    name = args.name or name_of(args.model)
    return argparse.Namespace(**{**vars(args), "name": name, "model": find_model(args.model)["pretrained"]})


def api_keys(given: list[str], environ: Mapping[str, str]) -> list[str]:
    """The keys of the command line, or else of the environment. Raises ConfigError for a key that a header cannot
    contain.
    """
    keys = given or [environ[name] for name in (KEY_VARIABLE,) if name in environ]
    if any(not key or not key.isascii() or not key.isprintable() or " " in key for key in keys):
        raise ConfigError(f"--api-key or {KEY_VARIABLE}: a key must be one word of printable ASCII characters")
    return keys
