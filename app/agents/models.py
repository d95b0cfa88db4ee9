"""The models that agents talk to: one shared client each, built when first asked for and closed at the end.

No client is ever closed after a run: the next run uses it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Self

import anyio
from autogen_core.models import ChatCompletionClient

from app.agents.providers import BY_KEY, PROVIDERS, build, endpoint, missing
from app.errors import ModelUnavailable
from app.settings import Settings
from app.siblings import Worker

if TYPE_CHECKING:
    from app.agents.local import LocalModel

CLOSE_S = 1
"""Seconds that closing one client may take."""
KILL_S = 5
"""Seconds that ending the embedded model's process may take."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model as MODEL and agents name it, `provider:name`; `local` alone means the installed weights."""

    provider: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, with a sentence for whoever wrote it."""
        provider, _, name = text.strip().partition(":")
        if provider not in PROVIDERS:
            known = ", ".join(PROVIDERS)
            raise ValueError(f"{text!r} names no provider: write provider:name, with provider one of {known}.")
        if not name and provider != "local":
            example = PROVIDERS[provider].example
            raise ValueError(f"{text!r} names no model: write {provider}:name, as in {provider}:{example}.")
        return cls(provider, name)

    def __str__(self) -> str:
        return f"{self.provider}:{self.name}" if self.name else self.provider


def _as_it_is(client: ChatCompletionClient, _: ModelRef) -> ChatCompletionClient:
    return client


class Models:
    """The clients of a process, by name; `wrap` is put around each when it is built."""

    default: ModelRef | None
    """MODEL; else of the first provider with a key; else the embedded one; None if there is none of them."""

    def __init__(
        self,
        settings: Settings,
        wrap: Callable[[ChatCompletionClient, ModelRef], ChatCompletionClient] = _as_it_is,
        worker: Worker | None = None,
    ) -> None:
        self._settings = settings
        self._wrap = wrap
        self._worker = worker
        self._clients: dict[ModelRef, ChatCompletionClient] = {}
        self._local_model: LocalModel | None = None
        self.default, self._why_none = self._select()

    def client(self, ref: str | None = None) -> ChatCompletionClient:
        """The shared client of `ref`, or of the default model; not to be closed. A script's is new each time.

        Raises ModelUnavailable, with a sentence that says what to set or to install.
        """
        chosen = self._checked(ref)
        if chosen.provider == "replay":
            return self._wrap(self._build(chosen), chosen)
        if chosen not in self._clients:
            self._clients[chosen] = self._wrap(self._build(chosen), chosen)
        return self._clients[chosen]

    def problem(self, ref: str | None = None) -> str | None:
        """What `client` would raise, without building anything; a script's file is not opened."""
        try:
            self._checked(ref)
        except ModelUnavailable as unavailable:
            return unavailable.detail
        return None

    async def warm(self) -> None:
        """Start the embedded model, if it is the default."""
        if self.default is not None and self.default.provider == "local":
            await self._local.warm()

    async def aclose(self) -> None:
        """Close every client and end the embedded model, at the same time; what does not close is left behind."""
        clients, self._clients = self._clients, {}
        async with anyio.create_task_group() as tasks:
            for client in clients.values():
                tasks.start_soon(_finish, client.close, CLOSE_S)
            if self._local_model is not None:
                tasks.start_soon(_finish, self._local_model.aclose, KILL_S)

    def _select(self) -> tuple[ModelRef | None, str]:
        """The default, or why there is none."""
        if self._settings.model is not None:
            try:
                return self._named(ModelRef.parse(self._settings.model)), ""
            except ValueError as error:
                return None, f"MODEL is not understood: {error}"
        for provider in BY_KEY:
            if endpoint(provider, self._settings).key:
                name = PROVIDERS[provider].default
                if name is None:
                    return None, f"Which model of {provider} to call is not said: set MODEL={provider}:name."
                return ModelRef(provider, name), ""
        problem = self._local.problem()
        return (None, problem) if problem else (ModelRef("local", self._local.name), "")

    def _checked(self, text: str | None) -> ModelRef:
        if text is None:
            if self.default is None:
                raise ModelUnavailable(self._why_none)
            ref = self.default
        else:
            try:
                ref = self._named(ModelRef.parse(text))
            except ValueError as error:
                raise ModelUnavailable(str(error)) from None
        if ref not in self._clients and (lack := self._lack(ref)):
            raise ModelUnavailable(lack)
        return ref

    def _lack(self, ref: ModelRef) -> str | None:
        if ref.provider == "local":
            if ref.name != self._local.name:
                return f"The embedded model is {self._local.name!r}, not {ref.name!r}: write `local` alone."
            return self._local.problem()
        if names := missing(ref.provider, self._settings):
            who, them = ("MODEL=", "MODEL") if ref == self.default else ("The model ", "model")
            it = "it" if len(names) == 1 else "them"
            return f"{who}{ref} needs {' and '.join(names)}: set {it}, or choose another {them}."
        return None

    def _named(self, ref: ModelRef) -> ModelRef:
        return ModelRef("local", self._local.name) if ref == ModelRef("local", "") else ref

    def _build(self, ref: ModelRef) -> ChatCompletionClient:
        if ref.provider == "local":
            return self._local.client()
        return build(ref.provider, ref.name, endpoint(ref.provider, self._settings))

    @property
    def _local(self) -> "LocalModel":
        """Imported when needed: it brings an SDK with it, half a second."""
        if self._local_model is None:
            kind: type[LocalModel] = import_module("app.agents.local").LocalModel
            self._local_model = kind(
                cache_dir=self._settings.model_cache_dir,
                path=self._settings.model_path,
                threads=self._settings.local_threads,
                slots=self._settings.local_slots,
                context_tokens=self._settings.local_context_tokens,
                worker=self._worker,
            )
        return self._local_model


async def _finish(close: Callable[[], Awaitable[None]], seconds: float) -> None:
    # Shielded, so that one that fails to close does not keep the others open.
    with anyio.move_on_after(seconds, shield=True):
        await close()
