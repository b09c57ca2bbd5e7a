"""What `immich-mesh models list` shows: the catalogue, the caches and the running services, put together."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import grpc
from immich_mesh.model.v1 import model_pb2, model_pb2_grpc

from mesh.cli.machine.settings import all_service_settings
from mesh.core.rpc.channels import open_channel
from mesh.core.rpc.tokens import BearerToken
from mesh.core.settings import ServiceSettings
from mesh.hub import catalogue
from mesh.hub.catalogue import Family, SourceKind
from mesh.hub.store import CachedModel, ModelStore

ASK_SECONDS = 1.0


@dataclass(frozen=True)
class ModelRow:
    """One model.

    Attributes:
        state: `loaded`, `cached`, `bundled`, `export` or `-`.
        size_bytes: of its files here; what a download costs, about, while it is not here.
        folder: where it is; empty while it is not here.
        recommended: one of ours, or one that serves a default, rather than of Immich's long list.
    """

    name: str
    family: Family
    state: str
    size_bytes: int
    dimension: int | None
    languages: tuple[str, ...]
    licence: str
    folder: str
    recommended: bool

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return asdict(self)


def collect_rows(stores: Mapping[Family, ModelStore], only: Family | None = None) -> list[ModelRow]:
    """All known models, the cached ones of one's own included, in the catalogue's order."""
    loaded = asyncio.run(_loaded(all_service_settings()))
    rows: list[ModelRow] = []
    for family, store in stores.items():
        if only in (None, family):
            cached = {model.name: model for model in store.cached(family)}
            rows += [_known(entry, cached.pop(entry.name, None), loaded) for entry in catalogue.entries(family)]
            rows += [_own(model, loaded) for model in cached.values()]
    return rows


def _known(entry: catalogue.ModelEntry, cached: CachedModel | None, loaded: set[tuple[Family, str]]) -> ModelRow:
    kind = entry.source.kind
    state = "export" if kind is SourceKind.EXPORT else "-"
    if cached:
        state = "bundled" if kind is SourceKind.PACKAGE else "cached"
    if (entry.family, entry.name) in loaded:
        state = "loaded"
    return ModelRow(
        name=entry.name,
        family=entry.family,
        state=state,
        size_bytes=cached.size_bytes if cached else entry.size_bytes,
        dimension=entry.dimension,
        languages=entry.languages,
        licence=entry.licence,
        folder=str(cached.folder) if cached else "",
        recommended=entry.family is not Family.CLIP or not entry.source.is_immichs,
    )


def _own(model: CachedModel, loaded: set[tuple[Family, str]]) -> ModelRow:
    state = "loaded" if (model.family, model.name) in loaded else "cached"
    return ModelRow(model.name, model.family, state, model.size_bytes, None, (), "", str(model.folder), True)


async def _loaded(settings: Mapping[Family, ServiceSettings]) -> set[tuple[Family, str]]:
    """What the services of this machine have in memory; nothing of those that do not run."""
    answers = await asyncio.gather(*(_ask(family, one) for family, one in settings.items()))
    return {(family, name) for family, names in zip(settings, answers, strict=True) for name in names}


async def _ask(family: Family, settings: ServiceSettings) -> set[str]:
    token = BearerToken.of(settings.auth_token, settings.auth_token_file)
    tls = settings.tls if settings.tls.cert_file else None
    host = "127.0.0.1" if settings.host == "0.0.0.0" else settings.host  # noqa: S104 - compared, not bound
    async with open_channel(f"{host}:{settings.port}", tls, token) as channel:
        stub = model_pb2_grpc.ModelServiceStub(channel)
        try:
            listed = await stub.ListModels(model_pb2.ListModelsRequest(), timeout=ASK_SECONDS)
        except grpc.aio.AioRpcError:
            return set()  # not running, or not ours to ask: the list is of use without it
    return {model.name for model in listed.models if model.state == model_pb2.MODEL_STATE_LOADED}
