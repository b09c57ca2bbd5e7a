"""The shapes of Immich's answers that the front door relies on, and nothing more of them.

Whatever else comes (a proxy's page, another server, a later version) is an `ImmichAnswerError`, never a crash.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar
from uuid import UUID

import orjson
import structlog
from multidict import CIMultiDictProxy
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from router.front_door.errors import ImmichAnswerError

log = structlog.get_logger()

T = TypeVar("T")


class ImmichAnswer(BaseModel):
    """Base: strict types, whatever else Immich sends is not looked at."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, populate_by_name=True)


Id = Annotated[UUID, BeforeValidator(lambda value: UUID(value) if isinstance(value, str) else value)]
"""An id, as text in JSON."""


class User(ImmichAnswer):
    """`GET /api/users/me`."""

    id: Id
    is_admin: bool = Field(False, alias="isAdmin")


class Partner(ImmichAnswer):
    """One of `GET /api/partners`."""

    id: Id
    in_timeline: bool = Field(False, alias="inTimeline")


class ApiKey(ImmichAnswer):
    """`GET /api/api-keys/me`."""

    permissions: frozenset[str]


class ServerVersion(ImmichAnswer):
    """`GET /api/server/version`."""

    major: int = Field(ge=0)
    minor: int = Field(ge=0)
    patch: int = Field(ge=0)


class Asset(ImmichAnswer):
    """One photo or video, in a search as in `GET /api/assets/{id}`: what decides whether it may be shown."""

    id: Id
    owner_id: Id = Field(alias="ownerId")
    name: str = Field("", alias="originalFileName")
    visibility: str = "timeline"
    is_trashed: bool = Field(False, alias="isTrashed")


class Album(ImmichAnswer):
    """`GET /api/albums/{id}`."""

    id: Id


class FoundAssets(ImmichAnswer):
    """The half of a search's answer that holds photos, each as Immich wrote it."""

    items: tuple[dict[str, Any], ...]


class SearchAnswer(ImmichAnswer):
    """`POST /api/search/...`."""

    assets: FoundAssets


USER = TypeAdapter(User)
PARTNERS = TypeAdapter(tuple[Partner, ...])
API_KEY = TypeAdapter(ApiKey)
SERVER_VERSION = TypeAdapter(ServerVersion)
ASSET = TypeAdapter(Asset)
ALBUM = TypeAdapter(Album)
SEARCH_ANSWER = TypeAdapter(SearchAnswer)
"""What `Reply.read` is given."""


@dataclass(frozen=True)
class Reply:
    """One of Immich's replies, read to its end.

    Attributes:
        status: of HTTP.
        body: decompressed.
        headers: as sent.
        asked: the question, e.g. `GET /api/users/me`.
    """

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]
    asked: str = ""

    @property
    def ok(self) -> bool:
        """Whether Immich said yes."""
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        """Whether Immich said no, in words that are for the caller."""
        return 400 <= self.status < 500

    def read(self, shape: TypeAdapter[T]) -> T:
        """The body as what it should be. Raises ImmichAnswerError when it is something else."""
        try:
            return shape.validate_json(self.body)
        except ValidationError as error:
            raise self.unexpected(error) from None

    def fields(self) -> dict[str, Any]:
        """The body as an object, every field as it came. Raises ImmichAnswerError when it is none."""
        try:
            payload = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise self._unexpected("", str(error)) from None
        if not isinstance(payload, dict):
            raise self._unexpected("", "not an object")
        return payload

    def unexpected(self, error: ValidationError) -> ImmichAnswerError:
        """What to raise when a part of the body is not what it should be."""
        [problem, *_] = error.errors(include_url=False, include_input=False)
        return self._unexpected(".".join(map(str, problem["loc"])), problem["msg"])

    def _unexpected(self, place: str, problem: str) -> ImmichAnswerError:
        log.warning("unexpected answer of Immich", asked=self.asked, place=place, problem=problem)
        return ImmichAnswerError(f"Immich's answer to {self.asked} is not what Immich answers: check IMMICH_URL")


def asset_of(fields: Any, reply: Reply) -> Asset:
    """One photo among the fields of a reply. Raises ImmichAnswerError when it is none."""
    try:
        return Asset.model_validate(fields)
    except ValidationError as error:
        raise reply.unexpected(error) from None
