"""`create_app`: the only place that wires."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from app import VERSION
from app.agents.registry import Registry
from app.api import (
    a2a,
    ag_ui,
    agents,
    ai_sdk,
    export,
    health,
    mcp,
    metrics,
    openai_chat,
    openai_common,
    openai_responses,
    openapi,
    playground,
    problems,
    runs,
    sessions,
)
from app.api.dependencies import Parts, Permitted
from app.api.identity.gate import Gate, Identity
from app.api.middleware import BodyLimit, Named
from app.api.worded import Worded
from app.runs.bells import Bells
from app.runs.control import Control
from app.runs.deletion import Deletion
from app.runs.execution import Execution
from app.runs.images import Images
from app.runs.keeper import Keeper
from app.runs.log import RunLogs
from app.runs.pages import Writer
from app.runs.runner import Runner
from app.runs.tidying import Tidying
from app.runs.viewing import Viewing
from app.runs.webhooks import Webhooks
from app.settings import Settings
from app.siblings import Siblings, Worker
from app.store.allowances import Limits
from app.store.database import Database
from app.store.export import Export
from app.store.history import History
from app.store.overdue import Overdue
from app.store.pages import pages_for
from app.store.peers import peers_for
from app.store.queue import Queue
from app.store.rates import Rates
from app.store.retention import Retention
from app.store.runs import RunStore
from app.store.said import Said
from app.store.sessions import SessionStore
from app.store.webhooks import WebhookStore
from app.telemetry.instrumentors import instrument_app
from app.telemetry.provider import Telemetry, use_stable_http_names
from app.telemetry.watchdog import Watchdog

logger = logging.getLogger(__name__)

GC_THRESHOLD = (50_000, 20, 100)
"""Full collections stop every stream; what is alive after the start is not looked at again (see performance.md)."""


def create_app(settings: Settings | None = None, worker: Worker | None = None) -> FastAPI:
    """The service, or one of its workers. Its lifespan opens everything, and closes it at its end."""
    settings = settings or Settings()
    identity = Identity(settings)
    database = Database(settings)
    store = RunStore(database, settings.lease_s, _limits(settings))
    queue = Queue(database, settings.lease_s, settings.state_versions)
    overdue = Overdue(database, settings.max_restarts)
    telemetry = Telemetry(settings)
    registry = Registry(settings, telemetry.metrics, worker)
    siblings = Siblings(worker) if worker is not None else None
    peers = peers_for(database, siblings)
    bells, logs = Bells(), RunLogs(settings.max_run_events)
    pages = pages_for(settings, database, peers)
    writer = Writer(pages) if pages is not None else None
    webhooks = Webhooks(settings, WebhookStore(database), telemetry.metrics)
    execution = Execution(settings, store, queue, peers, bells, writer, webhooks, telemetry.metrics)
    images = Images(settings, telemetry.metrics)
    runner = Runner(settings, registry, store, images, execution, peers, logs, bells, writer, telemetry.metrics)
    session_store = SessionStore(database)
    deletion = Deletion(session_store, peers, logs, pages, telemetry.store)
    parts = Parts(
        settings=settings,
        database=database,
        runs=store,
        sessions=session_store,
        history=History(database),
        export=Export(database),
        registry=registry,
        runner=runner,
        viewing=Viewing(store, peers, logs, bells, pages, settings.disconnect_grace_s),
        control=Control(runner, store, Said(database), peers, bells, settings.cancel_timeout_s),
        deletion=deletion,
        keeper=Keeper(settings, runner, queue, overdue, peers, bells, writer, telemetry.metrics),
        tidying=Tidying(_retention(settings, database), deletion, pages),
        webhooks=webhooks,
        peers=peers,
        siblings=siblings,
        pages=pages,
        writer=writer,
        telemetry=telemetry,
        identity=identity,
        rates=Rates(settings.rate_limit, settings.redis_url) if settings.rate_limit is not None else None,
    )
    peers.listen(parts.keeper.hear)
    app = FastAPI(
        title="Waggle",
        summary="AutoGen agents behind HTTP: run them, stream them, trace them.",
        version=VERSION,
        license_info={"name": "Apache 2.0", "identifier": "Apache-2.0"},
        lifespan=_lifespan,
        openapi_url=None,
        generate_unique_id_function=openapi.named,
    )
    app.state.parts = parts
    if siblings is not None:
        siblings.answer("metrics", telemetry.metrics.told)
        siblings.answer("trace", telemetry.store.told)
    probes, protocols = (health, metrics), (openai_chat, openai_responses, ai_sdk, ag_ui, mcp, a2a)
    for module in probes if settings.role == "worker" else (agents, runs, sessions, export, *protocols, *probes):
        app.include_router(module.router, dependencies=[Permitted])
    if settings.playground and settings.role != "worker":
        playground.install(app)
    app.openapi_url = "/openapi.json"
    app.setup()  # its own pages last: routes are tried in their order, by FastAPI and by its instrumentor
    problems.install(app)
    openapi.describe(app, settings)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, metrics=telemetry.metrics)
    app.add_middleware(Gate, identity=identity, settings=settings, metrics=telemetry.metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=[
                "X-Run-ID",
                "X-Session-ID",
                "Mcp-Session-Id",
                "X-Request-ID",
                "traceresponse",
                "Retry-After",
                "Location",
            ],
        )
    app.add_middleware(Worded, words={openai_common.PREFIX: openai_common.worded})
    app.add_middleware(Named)
    use_stable_http_names()
    instrument_app(app)
    return app


def _retention(settings: Settings, database: Database) -> Retention:
    sessions, runs = settings.session_ttl_days, settings.run_ttl_days
    return Retention(
        database,
        sessions=None if sessions is None else timedelta(days=sessions),
        runs=None if runs is None else timedelta(days=runs),
        keys=timedelta(seconds=settings.idempotency_ttl_s),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        queued=settings.max_queued_runs,
        turns=settings.max_session_turns,
        unended=settings.max_runs_per_caller,
        tokens=settings.budget_tokens,
        usd=settings.budget_usd,
        keys=timedelta(seconds=settings.idempotency_ttl_s),
    )


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open from the bottom up, close from the top down; each end has a deadline of its own."""
    parts: Parts = app.state.parts
    await parts.telemetry.start()
    try:
        await parts.database.start()
        await parts.peers.start()
        if parts.siblings is not None:
            await parts.siblings.start()
        if parts.pages is not None:
            await parts.pages.start()
        await parts.registry.start()
        parts.telemetry.metrics.serves(parts.registry.cards)
        async with anyio.create_task_group() as group:
            parts.runner.attach(group)
            if parts.writer is not None:
                group.start_soon(parts.writer.serve)
            for serve in (
                parts.keeper.claim,
                parts.keeper.heed,
                parts.keeper.watch,
                parts.tidying.serve,
                parts.webhooks.serve,
                parts.identity.keys.watch,
            ):
                group.start_soon(serve)
            if parts.siblings is not None:
                group.start_soon(parts.siblings.serve)
            group.start_soon(parts.registry.warm)
            group.start_soon(parts.runner.load.watch)
            group.start_soon(Watchdog(parts.telemetry.metrics).serve)
            gc.collect()
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLD)
            gc.enable()
            yield
            await parts.runner.close()
            parts.viewing.close()
            group.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await _close(parts)


async def _nothing() -> None:
    pass


async def _close(parts: Parts) -> None:
    for name, close in (
        ("identity", parts.identity.close),
        ("rates", parts.rates.close if parts.rates is not None else _nothing),
        ("agents", parts.registry.close),
        ("event log", parts.pages.close if parts.pages is not None else _nothing),
        ("peers", parts.peers.close),
        ("workers", parts.siblings.close if parts.siblings is not None else _nothing),
        ("database", parts.database.close),
        ("traces", parts.telemetry.stop),
    ):
        try:
            async with asyncio.timeout(2 * parts.settings.shutdown_timeout_s):
                await close()
        except Exception:  # one part's failure must not keep the others open
            logger.exception("The %s could not be closed cleanly", name)
