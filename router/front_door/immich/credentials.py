"""Who is calling: the caller's own Immich credentials, lifted from a request in every way that Immich accepts, to be
shown to Immich again. The front door never judges them, stores them or logs them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import hdrs
from multidict import CIMultiDict

KEY_HEADERS = ("x-api-key", "authorization", "x-immich-user-token", "x-immich-session-token")
KEY_QUERY = ("apiKey", "sessionKey")
COOKIE = "immich_access_token"
SHARE_HEADERS = ("x-immich-share-key", "x-immich-share-slug")
SHARE_QUERY = ("key", "slug")

CONTEXT_HEADERS = (
    hdrs.HOST,
    hdrs.USER_AGENT,
    hdrs.ACCEPT_LANGUAGE,
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
)
"""Immich keeps a session's device and address by these, so a question on the caller's behalf repeats them."""


@dataclass(frozen=True)
class Credentials:
    """What a caller showed.

    Attributes:
        headers: credentials and context, as headers of a request to Immich.
        query: credentials given in the query string.
        by_key: whether an API key was among them; its permissions then count beside the user's.
        shared_link: whether the caller holds a shared link, which may not search.
        present: whether there was anything at all.
    """

    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    by_key: bool = False
    shared_link: bool = False
    present: bool = False


def credentials_of(headers: CIMultiDict[str], query: Mapping[str, str], cookies: Mapping[str, str]) -> Credentials:
    """Lifts the credentials out of one request.

    Args:
        headers: the request's headers, as they would be forwarded.
        query: its decoded query.
        cookies: its cookies by name.
    """
    keys = {name: headers[name] for name in KEY_HEADERS if headers.get(name)}
    asked = {name: query[name] for name in KEY_QUERY if query.get(name)}
    shares = {name: headers[name] for name in SHARE_HEADERS if headers.get(name)}
    share_query = {name: query[name] for name in SHARE_QUERY if query.get(name)}
    cookie = {str(hdrs.COOKIE): headers[hdrs.COOKIE]} if cookies.get(COOKIE) and hdrs.COOKIE in headers else {}
    context = {str(name): headers[name] for name in CONTEXT_HEADERS if name in headers}
    return Credentials(
        headers={**context, **keys, **shares, **cookie},
        query={**asked, **share_query},
        by_key="x-api-key" in keys or "apiKey" in asked,
        shared_link=bool(shares or share_query),
        present=bool(keys or asked or shares or share_query or cookie),
    )
