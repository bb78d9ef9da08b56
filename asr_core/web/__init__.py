"""The page at `/`: a document, a style, the strings and modules that use the server's public API.

Served as they are written: there is no build step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from asr_core.errors import NotFound

PAGE = Path(__file__).parent / "page"
INDEX = "index.html"

MEDIA_TYPES = {  # not the machine's own table, in which .mjs may be missing or wrong
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
}

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "media-src blob:",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""What is written inside the document neither runs nor styles; markup made from text is refused by the browser."""

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Asked about every time, sent only when it has changed: the parts of two versions are never mixed.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file of the page, as it is sent."""

    content: bytes
    media_type: str
    etag: str
    """A hash of the content, in quotes."""

    def response(self, if_none_match: str | None) -> Response:
        """200 with the content; 304 without it, if the browser already has it."""
        headers = HEADERS | {"ETag": self.etag}
        if if_none_match and self.etag in (tag.strip().removeprefix("W/") for tag in if_none_match.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(self.content, media_type=self.media_type, headers=headers)


def page_routes() -> APIRouter:
    """GET / and GET /page/{name}: the page's own files and no others, whatever the name."""
    files = _read_page()
    routes = APIRouter()

    @routes.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page(request: Request) -> Response:
        return files[INDEX].response(request.headers.get("if-none-match"))

    @routes.api_route("/page/{name:path}", methods=["GET", "HEAD"], include_in_schema=False)
    async def part(name: str, request: Request) -> Response:
        if name == INDEX or name not in files:  # the document's addresses would lead astray from here
            raise NotFound("The page has no such part.")
        return files[name].response(request.headers.get("if-none-match"))

    return routes


def _read_page() -> Mapping[str, PageFile]:
    return {path.name: _read(path) for path in PAGE.iterdir() if path.suffix in MEDIA_TYPES}


def _read(path: Path) -> PageFile:
    content = path.read_bytes()
    return PageFile(content, MEDIA_TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
