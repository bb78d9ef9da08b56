"""The page at `/`: one HTML file that uses the server's public API."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

INDEX = Path(__file__).parent / "index.html"


def page_routes() -> APIRouter:
    """GET /: the page, allowed to run its own script and to talk to its own server, and nothing else."""
    html = INDEX.read_text(encoding="utf-8")
    headers = {
        "Content-Security-Policy": content_security_policy(html),
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }
    routes = APIRouter()

    @routes.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def page() -> Response:
        return Response(html, media_type="text/html; charset=utf-8", headers=headers)

    return routes


def content_security_policy(html: str) -> str:
    """A policy under which `html` may run and load only what it holds.

    Its script and its style are named by their hashes; markup made from text is refused by the browser itself.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash_of('script', html)}",
            f"style-src {_hash_of('style', html)}",
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


def _hash_of(element: str, html: str) -> str:
    """The CSP source of the only inline `element` of `html`; a script that holds data is none."""
    (content,) = re.findall(rf'<{element}(?: type="module")?>(.*?)</{element}>', html, re.DOTALL)
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
