"""All checks in their order, each within its deadline and all of them within one. None of them ends the others."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from app.doctor import backends, environment, parts, wiring
from app.doctor.environment import Environment
from app.doctor.probe import FLUSH_S, RUN_S, Probe, probe
from app.doctor.redaction import Redaction
from app.doctor.result import Result, skipped
from app.settings import Settings
from app.telemetry.provider import set_up
from app.telemetry.reach import TIMEOUT_S, Backend
from app.telemetry.reach import backends as configured

CREDENTIALS_S, DATABASE_S, AGENTS_S, MODEL_S = 15, 12, 35, 30
PROBE_S = RUN_S + FLUSH_S + 10
"""With the start and the end of the service."""
BACKEND_S = TIMEOUT_S + 2
"""A backend that sends its answer byte by byte, and a slow name server, have no deadline but this."""

PARTS = ("tracer-provider", "credentials", "data-dir", "database", "agents", "instrumentors", "embedded-model", "model")
VARIABLES = ("autogen-tracing", "honeyhive-variables", "otel-variables")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Overdue:
    """In the place of what a check would have returned."""

    result: Result


class Examination:
    """Run once. `results` grows as checks end, and each is passed to `told` in the order of `results`."""

    def __init__(
        self, surroundings: Environment, *, offline: bool, timeout_s: float, told: Callable[[Result], None]
    ) -> None:
        self._environment = surroundings
        self._offline = offline
        self._end = time.monotonic() + timeout_s
        self._told = told
        self._redaction = Redaction()
        self.results: list[Result] = []
        self.probe: Probe | None = None
        self.current = ""
        """The check that is going on."""

    async def run(self) -> None:
        """Every check; those that need another that failed are skipped, and say so."""
        settings, result = environment.settings()
        self._tell(result)
        self._tell(self._sync("variables", lambda: environment.variables(self._environment)))
        if settings is None:
            for name in (*VARIABLES, *PARTS, "otlp", "honeyhive", "run", "spans"):
                self._tell(skipped(name, "the settings are not valid"))
            return
        self._redaction = Redaction.of(settings)
        await self._configured(settings)

    async def _configured(self, settings: Settings) -> None:
        checks = environment.autogen_variables, environment.honeyhive_variables, environment.otel_settings
        for name, check in zip(VARIABLES, checks, strict=True):
            self._tell(self._sync(name, partial(check, self._environment, settings)))
        self._tell(self._sync("tracer-provider", wiring.tracer_provider))
        self._tell(await self._within("credentials", CREDENTIALS_S, parts.credentials(settings)))
        self._tell(self._sync("data-dir", lambda: parts.data_dir(settings)))
        self._tell(await self._within("database", DATABASE_S, parts.database(settings)))
        set_up(settings)  # an agent's file that sets a provider of its own comes too late in a service
        self._tell(await self._within("agents", AGENTS_S, parts.agents(settings)))
        self._tell(self._sync("instrumentors", wiring.instrumented))
        unasked = skipped("embedded-model", "--offline: not asked")
        self._tell(self._sync("embedded-model", lambda: unasked if self._offline else parts.embedded_model(settings)))
        found = {backend.name: backend for backend in configured(settings, self._environment.variables)}
        model, *reached = await asyncio.gather(
            self._model(settings),
            *(self._backend(name, found.get(name)) for name in ("otlp", "honeyhive")),
        )
        for result in (model, *reached):
            self._tell(result)
        await self._probe(settings, model, [result for result in reached if result.name in found])

    async def _model(self, settings: Settings) -> Result:
        if self._offline:
            return skipped("model", "--offline: not asked")
        return await self._within("model", MODEL_S, parts.model(settings))

    async def _backend(self, name: str, backend: Backend | None) -> Result:
        if backend is None:
            return backends.switched_off(name)
        hangs = backends.hangs(backend)
        return await self._within(name, BACKEND_S, backends.reached(backend), hangs)

    async def _probe(self, settings: Settings, model: Result, reached: list[Result]) -> None:
        """Without the backends that do not answer, and without the model if that does not."""
        script = "--offline" if self._offline else "the model was not reached" if model.status == "fail" else ""
        without = {result.name for result in reached if result.status == "fail"}
        disabled = self._environment.true("OTEL_SDK_DISABLED")
        outcome = await self._outcome(
            "run", PROBE_S, probe(settings, script=script, without=without, disabled=disabled)
        )
        if isinstance(outcome, _Overdue):
            self._tell(outcome.result)
            self._tell(skipped("spans", "there was no run"))
        else:
            self.probe = outcome
            for result in outcome.results:
                self._tell(result)
            if len(outcome.results) == 1:
                self._tell(skipped("spans", "there was no run"))
        for result in reached:
            name = f"{result.name}-delivery"
            if not any(told.name == name for told in self.results):
                why = f"see {result.name}" if result.name in without else "there was no run"
                self._tell(skipped(name, f"nothing was sent: {why}"))

    def _tell(self, result: Result) -> None:
        clean = self._redaction.clean
        result = replace(result, found=clean(result.found), advice=clean(result.advice))
        self.results.append(result)
        self._told(result)

    def _sync(self, name: str, check: Callable[[], Result]) -> Result:
        self.current = name
        try:
            return check()
        except Exception as error:  # noqa: BLE001 a check that fails is told like what it looks for
            return _broken(name, error)

    async def _within(
        self, name: str, seconds: float, check: Coroutine[Any, Any, Result], late: Result | None = None
    ) -> Result:
        outcome = await self._outcome(name, seconds, check)
        if not isinstance(outcome, _Overdue):
            return outcome
        return late if late is not None and outcome.result.found.startswith("it did not end") else outcome.result

    async def _outcome(self, name: str, seconds: float, check: Coroutine[Any, Any, T]) -> T | _Overdue:
        """What it returns, or why it does not."""
        self.current = name
        seconds = min(seconds, self._end - time.monotonic())
        if seconds <= 0:
            check.close()
            return _Overdue(skipped(name, "no time was left: `--timeout` gives more"))
        try:
            async with asyncio.timeout(seconds):
                return await check
        except TimeoutError:
            found = f"it did not end within {seconds:.0f} s"
            return _Overdue(Result(name, "fail", found, "Something in it hangs; `--timeout` gives it longer."))
        except Exception as error:  # noqa: BLE001 a check that fails is told like what it looks for
            return _Overdue(_broken(name, error))


def _broken(name: str, error: BaseException) -> Result:
    """The foreign error's words stay out: they may hold anything."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    advice = "Start the service, `python -m app`: its log has the whole."
    return Result(name, "fail", f"it failed with {type(error).__name__}", advice)
