"""A JSON client of one server: deadlines on every call, and a fresh connection after every error."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from espalier.core.errors import EspalierError, MissingExtraError

if TYPE_CHECKING:
    import aiohttp

KEPT_SECONDS = 2.0
"""An idle connection is closed after so long: before a server does it, which may be just when the next call begins."""
SHOWN = 300
"""Characters of a server's answer that an error shows."""


class RefusedError(EspalierError):
    """The server answered that it cannot do this: the same call would fail again."""


class UnreachableError(EspalierError):
    """The server did not answer, or answered that it failed."""


class HttpClient:
    """Calls `url`. `key` is sent as a bearer token. Connections are kept and used again until one has an error."""

    def __init__(self, url: str, *, key: str = "", connections: int = 1024) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._retired: list[aiohttp.ClientSession] = []

    async def get(self, path: str, *, seconds: float) -> Any:
        """The JSON at `path`. See `post`."""
        return _parsed(await self._call("GET", path, None, seconds), path)

    async def text(self, path: str, *, seconds: float) -> str:
        """The text at `path`. See `post`."""
        return (await self._call("GET", path, None, seconds)).decode("utf-8", "replace")

    async def post(self, path: str, body: Any = None, *, seconds: float) -> Any:
        """Send `body` as JSON; returns the JSON of the answer, None if it is empty.

        Raises RefusedError for an answer of 400 to 499, and UnreachableError where there is none within `seconds`, or
        one of 500 and above. Cancelling the call closes its connection.
        """
        return _parsed(await self._call("POST", path, body, seconds), path)

    async def tell(self, path: str, body: Any = None, *, seconds: float) -> None:
        """Like `post`, where the answer does not matter."""
        await self._call("POST", path, body, seconds)

    async def close(self) -> None:
        """Close the connections."""
        self._renew()
        for session in self._retired:
            await session.close()
        self._retired.clear()

    async def _call(self, method: str, path: str, body: Any, seconds: float) -> bytes:
        session = self._opened()
        import aiohttp

        try:
            async with asyncio.timeout(seconds), session.request(method, self.url + path, json=body) as answer:
                content = await answer.read()
                if answer.status >= 400:
                    where = f"{self.url}{path} answered {answer.status}: {_shown(content)}"
                    if answer.status < 500:
                        raise RefusedError(where)
                    self._renew()
                    raise UnreachableError(where)
                return content
        except TimeoutError:
            self._renew()
            raise UnreachableError(f"{self.url}{path} did not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            self._renew()
            raise UnreachableError(f"{self.url}{path}: {error or type(error).__name__}") from None

    def _renew(self) -> None:
        """Open new connections from now on: a server that failed may reset the next call on an old one.

        Calls under way go on with theirs.
        """
        if self._session is not None:
            self._retired.append(self._session)
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            try:
                import aiohttp
            except ImportError:
                raise MissingExtraError("aiohttp", "engines") from None
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEPT_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        return self._session


def _parsed(content: bytes, path: str) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError:
        raise UnreachableError(f"{path} did not answer with JSON: {_shown(content)}") from None


def _shown(content: bytes) -> str:
    text = content[: 4 * SHOWN].decode("utf-8", "replace").strip()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
