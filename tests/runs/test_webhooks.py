"""Webhooks, from the row that a run's end left to a real receiver, verified by the standard's own library."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from anyio import to_thread
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import update
from standardwebhooks import Webhook, WebhookVerificationError

import app.runs.webhooks
from app.errors import InvalidInput, Unavailable
from app.events import RunStatus
from app.runs.addresses import Resolve, resolve
from app.runs.courier import MAX_ANSWER
from app.runs.webhooks import AT_ONCE, HOLD_S, JITTER, MAX_RETRY_AFTER_S, RETRIES_S, Webhooks
from app.settings import Settings
from app.store.database import Database
from app.store.tables import WebhookRow
from app.store.webhooks import WebhookStore
from app.telemetry.metrics import Metrics
from tests.servers.otlp import Answer, Request, dead_url
from tests.servers.receiver import Receiver, Reply
from tests.store.held import writing
from tests.store.test_webhooks import ended_run, row_of

SECRET = "whsec_" + base64.b64encode(b"a key of thirty-two random bytes").decode()


class Ledger:
    """What was recorded, in turn: lets a test wait for that, instead of for time."""

    def __init__(self) -> None:
        self.recorded: list[str] = []
        self._changed = anyio.Event()

    def note(self, run_id: str) -> None:
        self.recorded.append(run_id)
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(20):
            while not condition():
                await self._changed.wait()


class Watched(WebhookStore):
    """The store, whose records are noted, and `losing` of which the database does not take."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        super().__init__(database)
        self._ledger = ledger
        self.losing = 0

    async def delivered(self, run_id: str, now: datetime) -> None:
        if self.losing:
            self.losing -= 1
            self._ledger.note(run_id)
            raise Unavailable("The database does not answer: try again.")
        await super().delivered(run_id, now)
        self._ledger.note(run_id)

    async def failed(self, run_id: str, attempts: int, next_at: datetime | None) -> None:
        await super().failed(run_id, attempts, next_at)
        self._ledger.note(run_id)


class Delivery:
    """A worker that is delivering, and what it works with.

    Its clock stands still at `now`; whoever verifies has the real one, and five minutes of patience.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        store: Watched,
        ledger: Ledger,
        database: Database,
        metrics: Metrics,
        now: datetime,
    ) -> None:
        self.webhooks, self.store, self.ledger, self.database, self.now = webhooks, store, ledger, database, now
        self._metrics = metrics

    async def of(self, run_id: str, attempts: int = 1) -> tuple[int, datetime | None, datetime | None]:
        """Its row, once so many attempts have been recorded."""
        self.webhooks.ring()
        await self.ledger.until(lambda: self.ledger.recorded.count(run_id) >= attempts)
        return await row_of(self.database, run_id)

    async def make_due(self, run_id: str) -> None:
        """As if the time had come."""
        async with writing(self.database) as connection:
            await connection.execute(update(WebhookRow).where(WebhookRow.run_id == run_id).values(next_at=self.now))

    async def counted(self, outcome: str) -> int:
        """What the metric says."""
        text = (await to_thread.run_sync(self._metrics.prometheus)).decode()
        start = f'waggle_webhooks_total{{outcome="{outcome}"}} '
        [line] = [line for line in text.splitlines() if line.startswith(start)]
        return int(float(line.removeprefix(start)))


def settings_of(folder: Path, **more: Any) -> Settings:
    usual: dict[str, Any] = {"data_dir": folder, "webhook_secret": SECRET, "webhook_allow": "127.0.0.1"}
    return Settings(_env_file=None, **(usual | more))


@asynccontextmanager
async def delivering(
    settings: Settings,
    *,
    resolve: Resolve = resolve,
    late_s: float = 0,
    attempt_s: float = 15,
    ledger: Ledger | None = None,
) -> AsyncIterator[Delivery]:
    """A worker of its own process, as far as the database can tell; its clock is `late_s` ahead."""
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=late_s)
    database, metrics, ledger = Database(settings), Metrics(), ledger or Ledger()
    metrics.start(settings)
    store = Watched(database, ledger)
    webhooks = Webhooks(settings, store, metrics, resolve=resolve, now=lambda: now, attempt_s=attempt_s)
    try:
        await database.start()
        async with anyio.create_task_group() as group:
            group.start_soon(webhooks.serve)
            yield Delivery(webhooks, store, ledger, database, metrics, now)
            group.cancel_scope.cancel()
    finally:
        metrics.shutdown()
        await database.close()


@pytest.fixture(autouse=True)
def never_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens does so since it was rung for, or a test would wait for ever."""
    monkeypatch.setattr(app.runs.webhooks, "POLL_S", 3600)


@pytest.fixture
async def delivery(tmp_path: Path) -> AsyncIterator[Delivery]:
    async with delivering(settings_of(tmp_path)) as delivery:
        yield delivery


def verified(request: Request, secret: str = SECRET) -> Any:
    """The body, where the signature is right."""
    return Webhook(secret).verify(request.body, dict(request.headers))


STATUSES = {
    RunStatus.COMPLETED: "run.completed",
    RunStatus.FAILED: "run.failed",
    RunStatus.CANCELLED: "run.cancelled",
}


@pytest.mark.parametrize(("status", "type_"), STATUSES.items())
async def test_a_receiver_is_told_of_the_end(status: RunStatus, type_: str, delivery: Delivery) -> None:
    """The run as the contract shows it, without its messages; signed, and under the run's id."""
    problem = {"type": "urn:waggle:problem:run-failed"} if status is RunStatus.FAILED else None
    async with Receiver() as receiver:
        run_id = await ended_run(delivery.database, url=f"{receiver.url}/a?key=1", status=status, error=problem)
        assert await delivery.of(run_id) == (0, None, delivery.now)
        [request] = receiver.requests
    assert (request.method, request.path) == ("POST", "/a?key=1")
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["user-agent"] == "waggle/0.1.0"
    assert request.headers["webhook-id"] == run_id
    assert request.headers["webhook-timestamp"] == str(int(delivery.now.timestamp()))
    assert verified(request) == {
        "type": type_,
        "timestamp": "2026-03-01T12:00:00Z",
        "data": {
            "run_id": run_id,
            "agent": "assistant",
            "session_id": run_id,
            "user_id": "ann",
            "status": status.value,
            "output": {"answer": ["Zürich 🐝", 1.5, None]},
            "stop_reason": "done",
            "usage": {"input_tokens": 12, "output_tokens": 8, "cost_usd": 0.00012},
            "error": problem,
            "input_request": None,
            "trace_id": "a" * 32,
            "metadata": {"plan": "pro"},
            "created_at": "2026-03-01T11:59:58Z",
            "finished_at": "2026-03-01T12:00:00Z",
        },
    }
    assert (await delivery.counted("delivered"), await delivery.counted("retried")) == (1, 0)


async def test_nobody_else_can_sign_it(delivery: Delivery) -> None:
    """Another body, id, time or secret does not verify."""
    async with Receiver() as receiver:
        await delivery.of(await ended_run(delivery.database, url=receiver.url))
        [request] = receiver.requests
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    later = str(int(request.headers["webhook-timestamp"]) + 1)
    for forged, secret in (
        (Request("POST", "/", request.headers, request.body.replace(b"done", b"gone")), SECRET),
        (Request("POST", "/", {**request.headers, "webhook-id": "another"}, request.body), SECRET),
        (Request("POST", "/", {**request.headers, "webhook-timestamp": later}, request.body), SECRET),
        (request, other),
    ):
        with pytest.raises(WebhookVerificationError):
            verified(forged, secret)


async def test_retries_follow_the_schedule_and_then_it_is_given_up(delivery: Delivery) -> None:
    """The same id and the same bytes each time, none sooner than planned; nothing is carried from one to the next."""
    cookie = Answer(500, headers={"Set-Cookie": "a=b"})
    async with Receiver(*[cookie] * 20) as receiver:
        run_id = await ended_run(delivery.database, url=receiver.url)
        for attempt, wait_s in enumerate(RETRIES_S, 1):
            attempts, next_at, delivered_at = await delivery.of(run_id, attempt)
            assert (attempts, delivered_at) == (attempt, None)
            assert next_at is not None
            assert wait_s <= (next_at - delivery.now).total_seconds() <= wait_s * (1 + JITTER)
            await delivery.make_due(run_id)
        assert await delivery.of(run_id, 10) == (10, None, None)
        requests = receiver.requests
    assert len(requests) == 10
    assert {request.headers["webhook-id"] for request in requests} == {run_id}
    assert len({request.body for request in requests}) == 1
    assert all("cookie" not in request.headers for request in requests)
    assert (await delivery.counted("retried"), await delivery.counted("given_up")) == (9, 1)


FAILURES: dict[str, Reply] = {
    "500": Answer(500),
    "503": Answer(503, b"later"),
    "429": Answer(429),
    "404": Answer(404),
    "not modified": Answer(304),
    "closed": "close",
    "hanging": "hang",
}


@pytest.mark.parametrize("reply", FAILURES.values(), ids=FAILURES.keys())
async def test_it_is_tried_again_until_it_is_taken(reply: Reply, tmp_path: Path) -> None:
    """After any failure but 410, a deadline that passed included."""
    async with delivering(settings_of(tmp_path), attempt_s=0.3) as delivery, Receiver(reply) as receiver:
        run_id = await ended_run(delivery.database, url=receiver.url)
        attempts, next_at, delivered_at = await delivery.of(run_id)
        assert (attempts, delivered_at) == (1, None)
        assert next_at is not None
        await delivery.make_due(run_id)
        assert await delivery.of(run_id, 2) == (1, None, delivery.now)
        first, second = receiver.requests
        assert verified(first) == verified(second)


async def test_nobody_listening_is_a_failure_like_others(delivery: Delivery) -> None:
    """The receiver may be starting."""
    attempts, next_at, _ = await delivery.of(await ended_run(delivery.database, url=dead_url()))
    assert attempts == 1
    assert next_at is not None


async def test_a_receiver_that_is_gone_is_left_alone(delivery: Delivery, caplog: pytest.LogCaptureFixture) -> None:
    """410 is its wish; the line that says so names no more of the URL than its origin."""
    async with Receiver(Answer(410, b"s3cret")) as receiver:
        url = f"{receiver.url}/s3cret/path?key=s3cret"
        run_id = await ended_run(delivery.database, url=url)
        assert await delivery.of(run_id) == (1, None, None)
        assert receiver.url in str([vars(record) for record in caplog.records])
        assert "s3cret" not in str([vars(record) for record in caplog.records])
    assert await delivery.counted("given_up") == 1


LATER: dict[str, tuple[str | int, int]] = {
    "seconds": ("3600", 3600),
    "a date": (1800, 1800),
    "for ever": ("9" * 12, MAX_RETRY_AFTER_S),
    "a number beyond all": ("9" * 5000, MAX_RETRY_AFTER_S),
    "sooner than planned": ("1", 5),
    "the past": (-9999, 5),
    "words": ("soon", 5),
    "nothing": ("", 5),
    "a negative number": ("-1", 5),
}


@pytest.mark.parametrize(("told", "wait_s"), LATER.values(), ids=LATER.keys())
async def test_retry_after_puts_it_off_within_bounds(told: str | int, wait_s: int, delivery: Delivery) -> None:
    """The receiver's wish or the schedule, whichever is later; a number in the table stands for the date then."""
    if isinstance(told, int):
        told = format_datetime(delivery.now + timedelta(seconds=told), usegmt=True)
    async with Receiver(Answer(503, headers={"Retry-After": told})) as receiver:
        _, next_at, _ = await delivery.of(await ended_run(delivery.database, url=receiver.url))
    assert next_at is not None
    assert wait_s <= (next_at - delivery.now).total_seconds() <= max(wait_s, 5 * (1 + JITTER))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int, delivery: Delivery) -> None:
    """Not even to where webhooks may go."""
    async with Receiver() as elsewhere, Receiver(Answer(status, headers={"Location": elsewhere.url})) as receiver:
        attempts, next_at, _ = await delivery.of(await ended_run(delivery.database, url=receiver.url))
        assert (attempts, elsewhere.requests) == (1, [])
        assert next_at is not None


async def test_a_long_answer_is_not_read_to_its_end(delivery: Delivery) -> None:
    """What is taken is taken."""
    async with Receiver(Answer(200, b"x" * 200 * MAX_ANSWER)) as receiver:
        assert await delivery.of(await ended_run(delivery.database, url=receiver.url)) == (0, None, delivery.now)


async def test_an_answer_that_never_ends_is_delivered_by_its_status(tmp_path: Path) -> None:
    """The receiver has said yes; asking again would tell it twice."""

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nword")
        with contextlib.suppress(ConnectionError):
            await reader.read()  # the rest, until the other side leaves
        writer.close()

    server = await asyncio.start_server(dawdle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, delivering(settings_of(tmp_path), attempt_s=0.5) as delivery:
        assert await delivery.of(await ended_run(delivery.database, url=url)) == (0, None, delivery.now)


async def test_no_proxy_is_asked(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect to where the address was never looked at."""
    async with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert await delivery.of(await ended_run(delivery.database, url=receiver.url)) == (0, None, delivery.now)
        assert (len(receiver.requests), proxy.requests) == (1, [])


def named(**names: Sequence[str]) -> Resolve:
    """A resolver that knows these hosts, `_` for dots; nobody else answers."""

    async def resolve(host: str, _port: int) -> Sequence[str]:
        return names[host.replace(".", "_")]

    return resolve


@pytest.mark.parametrize(
    ("host", "addresses"),
    [("127.0.0.1.nip.io", ["127.0.0.2"]), ("metadata.internal", ["169.254.169.254"]), ("eight.example", ["8.8.8.8"])],
)
async def test_a_name_is_held_to_its_addresses(host: str, addresses: list[str], tmp_path: Path) -> None:
    """Private ones are refused when it connects, and in the clear those of the internet too."""
    resolver = named(**{host.replace(".", "_"): addresses})
    async with delivering(settings_of(tmp_path), resolve=resolver) as delivery:
        url = f"http://{host}/"
        delivery.webhooks.check(url)
        attempts, next_at, _ = await delivery.of(await ended_run(delivery.database, url=url))
        assert attempts == 1
        assert next_at is not None, "its name may mean another address tomorrow"


async def test_a_name_that_changes_between_two_looks_gains_nothing(tmp_path: Path) -> None:
    """DNS rebinding: allowed at first, forbidden at the next look, which no connection takes."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    async with delivering(settings_of(tmp_path), resolve=rebinding) as delivery, Receiver() as receiver:
        url = f"http://rebinding.example:{receiver.port}/"
        assert await delivery.of(await ended_run(delivery.database, url=url)) == (0, None, delivery.now)
        assert answers == [["127.0.0.2"]]
        attempts, _, delivered_at = await delivery.of(await ended_run(delivery.database, url=url))
        assert (attempts, delivered_at, len(receiver.requests)) == (1, None, 1)


async def test_a_resolver_that_never_answers_costs_an_attempt(tmp_path: Path) -> None:
    """The deadline is for all of it."""

    async def silent(_host: str, _port: int) -> Sequence[str]:
        await anyio.sleep_forever()
        raise AssertionError

    async with delivering(settings_of(tmp_path), resolve=silent, attempt_s=0.2) as delivery:
        attempts, next_at, _ = await delivery.of(await ended_run(delivery.database, url="https://hooks.example/"))
        assert attempts == 1
        assert next_at is not None


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate for that name, and the file to trust it by."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


async def test_tls_is_with_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The socket gets the address; the certificate, SNI and `Host` are the name's. Another name's is a failure."""
    tls, trusted = certified(tmp_path, "hooks.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    resolver = named(hooks_example=["127.0.0.1"], other_example=["127.0.0.1"])
    async with Receiver(tls=tls) as receiver, delivering(settings_of(tmp_path), resolve=resolver) as delivery:
        url = f"https://hooks.example:{receiver.port}/runs"
        assert await delivery.of(await ended_run(delivery.database, url=url)) == (0, None, delivery.now)
        attempts, next_at, _ = await delivery.of(
            await ended_run(delivery.database, url=url.replace("hooks.example", "other.example"))
        )
        assert attempts == 1
        assert next_at is not None
        [request] = receiver.requests
        assert receiver.names == ["hooks.example", "other.example"]
    assert request.headers["host"] == f"hooks.example:{receiver.port}"
    assert verified(request)["type"] == "run.completed"


async def test_a_certificate_that_nobody_vouches_for_is_a_failure(tmp_path: Path) -> None:
    """Nothing is said to whoever it is."""
    tls, _ = certified(tmp_path, "hooks.example")
    resolver = named(hooks_example=["127.0.0.1"])
    async with Receiver(tls=tls) as receiver, delivering(settings_of(tmp_path), resolve=resolver) as delivery:
        url = f"https://hooks.example:{receiver.port}/"
        attempts, _, delivered_at = await delivery.of(await ended_run(delivery.database, url=url))
        assert (attempts, delivered_at, receiver.requests) == (1, None, [])


async def test_many_are_delivered_beyond_what_goes_at_once(delivery: Delivery) -> None:
    """All of them, at one ring."""
    async with Receiver() as receiver:
        run_ids = {await ended_run(delivery.database, url=receiver.url) for _ in range(3 * AT_ONCE)}
        delivery.webhooks.ring()
        await delivery.ledger.until(lambda: len(delivery.ledger.recorded) == len(run_ids))
        assert sorted(request.headers["webhook-id"] for request in receiver.requests) == sorted(run_ids)


async def test_slow_receivers_are_waited_for_all_at_once(delivery: Delivery) -> None:
    """None of them keeps the others of its turn waiting."""
    hanging: list[Reply] = ["hang"] * AT_ONCE
    async with Receiver(*hanging) as receiver:
        for _ in range(AT_ONCE):
            await ended_run(delivery.database, url=receiver.url)
        delivery.webhooks.ring()
        await receiver.wait_for_async(lambda _: len(receiver.requests) == AT_ONCE)
        assert delivery.ledger.recorded == []


async def test_what_nobody_rings_for_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry whose time has come, or what another process left."""
    monkeypatch.setattr(app.runs.webhooks, "POLL_S", 0.01)
    async with delivering(settings_of(tmp_path)) as delivery, Receiver() as receiver:
        run_id = await ended_run(delivery.database, url=receiver.url)
        await delivery.ledger.until(lambda: delivery.ledger.recorded == [run_id])


async def test_two_processes_tell_it_once(postgres_url: str, tmp_path: Path) -> None:
    """Each run's end goes out by one of them."""
    settings = settings_of(tmp_path, database_url=postgres_url)
    ledger = Ledger()
    async with (
        Receiver() as receiver,
        delivering(settings, ledger=ledger) as one,
        delivering(settings, ledger=ledger) as two,
    ):
        run_ids = sorted([await ended_run(one.database, url=receiver.url) for _ in range(40)])
        one.webhooks.ring()
        two.webhooks.ring()
        await ledger.until(lambda: len(ledger.recorded) >= len(run_ids))
        assert sorted(request.headers["webhook-id"] for request in receiver.requests) == run_ids
        assert sorted(ledger.recorded) == run_ids


async def test_what_a_process_took_and_never_told_is_told_by_another(tmp_path: Path) -> None:
    """It died between claim and delivery, or in the middle of one: the hold runs out, and nothing is lost."""
    settings = settings_of(tmp_path)
    database = Database(settings)
    await database.start()
    async with Receiver("hang") as receiver:
        claimed = await ended_run(database, url=receiver.url)
        assert await WebhookStore(database).claim(1, datetime.now(UTC), HOLD_S)
        await database.close()
        async with delivering(settings) as dying:
            sent = await ended_run(dying.database, url=receiver.url)
            dying.webhooks.ring()
            await receiver.wait_for_async(lambda _: len(receiver.requests) == 1)
        async with delivering(settings, late_s=HOLD_S + 5) as heir:
            for run_id in (claimed, sent):
                assert await heir.of(run_id) == (0, None, heir.now)
        first, *others = receiver.requests
        assert first.headers["webhook-id"] == sent
        assert sorted(request.headers["webhook-id"] for request in others) == sorted([claimed, sent])
        assert [verified(request) for request in others if request.headers["webhook-id"] == sent] == [verified(first)]


async def test_what_could_not_be_recorded_is_told_twice_under_one_id(delivery: Delivery) -> None:
    """A database that is away costs no news: the receiver sees from the id that it has it."""
    async with Receiver() as receiver:
        run_id = await ended_run(delivery.database, url=receiver.url)
        delivery.store.losing = 1
        attempts, next_at, delivered_at = await delivery.of(run_id)
        assert (attempts, next_at, delivered_at) == (0, delivery.now + timedelta(seconds=HOLD_S), None)
        await delivery.make_due(run_id)
        assert await delivery.of(run_id, 2) == (0, None, delivery.now)
        assert [request.headers["webhook-id"] for request in receiver.requests] == [run_id, run_id]


async def test_a_mistake_of_ours_costs_an_attempt(tmp_path: Path) -> None:
    """The others go on."""

    async def broken(_host: str, _port: int) -> Sequence[str]:
        raise ZeroDivisionError

    async with delivering(settings_of(tmp_path), resolve=broken) as delivery, Receiver() as receiver:
        attempts, next_at, _ = await delivery.of(await ended_run(delivery.database, url="http://hooks.example/"))
        assert attempts == 1
        assert next_at is not None
        assert await delivery.of(await ended_run(delivery.database, url=receiver.url)) == (0, None, delivery.now)


async def test_a_url_that_is_no_longer_allowed_is_given_up(tmp_path: Path) -> None:
    """WEBHOOK_ALLOW was other when the run began."""
    async with delivering(settings_of(tmp_path, webhook_allow="")) as delivery, Receiver() as receiver:
        assert await delivery.of(await ended_run(delivery.database, url=receiver.url)) == (1, None, None)
        assert receiver.requests == []


async def test_without_a_secret_nothing_is_sent_or_taken(tmp_path: Path) -> None:
    """What is due waits for a process that has one; a caller is told what to set."""
    settings = settings_of(tmp_path, webhook_secret=None)
    database = Database(settings)
    await database.start()
    try:
        run_id = await ended_run(database)
        webhooks = Webhooks(settings, WebhookStore(database), Metrics())
        with anyio.fail_after(5):
            await webhooks.serve()
        assert (await row_of(database, run_id))[0] == 0
        with pytest.raises(InvalidInput) as caught:
            webhooks.check("https://hooks.example/")
        assert caught.value.errors is not None
        [error] = caught.value.errors
        assert error["loc"] == ["body", "webhook_url"]
        assert "WEBHOOK_SECRET" in error["msg"]
    finally:
        await database.close()


def test_a_url_is_checked_before_the_run(tmp_path: Path) -> None:
    """As a field that is wrong; a good one passes."""
    settings = settings_of(tmp_path)
    webhooks = Webhooks(settings, WebhookStore(Database(settings)), Metrics())
    webhooks.check("https://hooks.example/runs")
    with pytest.raises(InvalidInput) as caught:
        webhooks.check("https://s3cret@hooks.example/")
    assert orjson.loads(orjson.dumps(caught.value.problem()))["errors"] == [
        {
            "loc": ["body", "webhook_url"],
            "msg": "It must not hold credentials: verify the signature instead.",
        }
    ]
    assert "s3cret" not in str(caught.value.problem())
