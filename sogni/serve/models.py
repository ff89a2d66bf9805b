"""`GET /v1/models`, and resolving the model names in requests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field

from sogni.errors import SogniTimeoutError
from sogni.serve.errors import RequestError
from sogni.serve.fields import nearest, shown
from sogni.serve.requests import Call, JsonResponse, Response

if TYPE_CHECKING:
    from sogni_async import SogniClient

WAIT_SECONDS = 10.0
"""How long to wait for the service to announce its models, after a connection."""
_PURPOSES = {
    "chat": "answers chats: use /v1/chat/completions",
    "image": "makes images: use /v1/images/generations or /v1/images/edits",
    "video": "makes videos: use /v1/videos",
    "audio": "makes audio: use /v1/audio/speech",
    "model": "makes 3D models, which the OpenAI API has no endpoint for",
}


async def list_models(call: Call) -> Response:
    """List the models that workers serve now, and the aliases."""
    return JsonResponse({"object": "list", "data": await call.models.documents()})


async def get_model(call: Call) -> Response:
    """Return one model."""
    name = call.path("model")
    for document in await call.models.documents():
        if document["id"] == name:
            return JsonResponse(document)
    raise call.models.unknown(name, await call.models.kinds())


@define
class Models:
    """The models of the service, with aliases.

    Names of other services are never replaced silently: an unknown name is an error that lists the closest ones.

    Attributes:
        client: The client.
        aliases: Model ids by alias.
    """

    client: SogniClient
    aliases: Mapping[str, str] = field(factory=dict)
    _created: int = field(factory=lambda: int(time.time()))

    async def kinds(self) -> dict[str, str]:
        """Return the media type of each model, by id."""
        await self._wait()
        media = {it.id: it.media for it in self.client.projects.available_models}
        return dict.fromkeys(self.client.chat.models, "chat") | media

    async def documents(self) -> list[dict[str, Any]]:
        """Return all models in the form of OpenAI."""
        kinds = await self.kinds()
        named = {name: kinds[model] for name, model in self.aliases.items() if model in kinds}
        return [
            {"id": name, "object": "model", "created": self._created, "owned_by": "sogni", "kind": kind}
            for name, kind in (kinds | named).items()
        ]

    async def chat(self, name: str) -> str:
        """Return the id of a language model."""
        model = self.aliases.get(name, name)
        if model in self.client.chat.models:
            return model
        return await self.resolve(name, "chat")

    async def resolve(self, name: str, kind: str) -> str:
        """Return the id of a model for a kind of media. Raises `RequestError` if the name is unknown."""
        model = self.aliases.get(name, name)
        kinds = await self.kinds()
        found = kinds.get(model)
        if found is None:
            raise self.unknown(name, [it for it, its_kind in kinds.items() if its_kind == kind])
        if found != kind:
            raise RequestError(
                f"The model '{name}' {_PURPOSES.get(found, f'makes {found}')}.",
                param="model",
                code="unsupported_value",
            )
        return model

    def unknown(self, name: str, known: Iterable[str]) -> RequestError:
        """Return the error for a model that does not exist."""
        known = list(known)
        near = nearest(name, [*known, *self.aliases]) or known[:3]
        hint = f" The nearest are {', '.join(near)}." if near else ""
        return RequestError(
            f"The model {shown(name)} does not exist.{hint} GET /v1/models lists all models; "
            f"'sogni serve --alias NAME=ID' adds a name.",
            status=404,
            param="model",
            code="model_not_found",
        )

    async def _wait(self) -> None:
        if self.client.chat.models and self.client.projects.available_models:
            return
        try:
            if not self.client.chat.models:
                await self.client.chat.wait_for_models(WAIT_SECONDS)
            if not self.client.projects.available_models:
                await self.client.projects.wait_for_models(WAIT_SECONDS)
        except SogniTimeoutError:
            # The service has no models of a kind, which is an answer, too.
            return
