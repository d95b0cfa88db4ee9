"""CPU of a run, of a streamed token, of a tool call, of a session's turns: what one of each costs the server."""

from collections.abc import Callable, Iterator, Sequence

from loading import SETTLE_S, World
from results import Observation
from ways import Server

CLIENTS = 8
RUNS, TOOL_RUNS, STREAMS, TOKENS = 100, 60, 20, 200
SESSIONS, TURNS = 12, 40
SHOWN_TURNS = (1, 10, 40)

Costed = Callable[[World, Server], Iterator[Observation]]


def run(world: World, server: Server) -> Iterator[Observation]:
    """Milliseconds for an answer of 50 tokens that the model says at once."""
    loaded = world.load(server, "run", "bench:50:0:0", clients=CLIENTS, requests=RUNS, last=49)
    metrics = {
        "cpu_ms": loaded.cpu_s / RUNS * 1e3,
        "failed": RUNS - loaded.seen["ok"],
        "spans": loaded.seen["spans"] / RUNS,
    }
    yield Observation("run", server.name, metrics, loaded.doubts)


def tool(world: World, server: Server) -> Iterator[Observation]:
    """Milliseconds for two model calls with a call of a function in between."""
    if "tool" not in server.way.paths:
        return
    loaded = world.load(server, "tool", "bench:50:0:1", clients=CLIENTS, requests=TOOL_RUNS, last=49)
    metrics = {"cpu_ms": loaded.cpu_s / TOOL_RUNS * 1e3, "failed": TOOL_RUNS - loaded.seen["ok"]}
    yield Observation("tool", server.name, metrics, loaded.doubts)


def token(world: World, server: Server) -> Iterator[Observation]:
    """Microseconds for one of 200 tokens that come one by one."""
    yield from _streamed(world, server, "token", 200)


def burst(world: World, server: Server) -> Iterator[Observation]:
    """The same for tokens that come all at once."""
    yield from _streamed(world, server, "burst", 0)


def _streamed(world: World, server: Server, scenario: str, rate: int) -> Iterator[Observation]:
    """What 200 cost more than one does."""
    cost = {}
    for tokens in (1, TOKENS):
        task = f"bench:{tokens}:{rate}:0"
        loaded = world.load(server, "stream", task, clients=CLIENTS, requests=STREAMS, tokens=tokens)
        cost[tokens] = loaded.cpu_s / STREAMS
    metrics = {
        "cpu_us": (cost[TOKENS] - cost[1]) / (TOKENS - 1) * 1e6,
        "stream_ms": cost[TOKENS] * 1e3,
        "kib": loaded.seen["bytes"] / STREAMS / 1024,
        "lost": loaded.seen["lost"],
        "doubled": loaded.seen["doubled"],
        "failed": STREAMS - loaded.seen["ok"],
    }
    yield Observation(scenario, server.name, metrics, loaded.doubts)


def turns(world: World, server: Server) -> Iterator[Observation]:
    """Milliseconds for a turn of a conversation, as it grows: some conversations side by side, turn after turn."""
    if "session" not in server.way.paths:
        return
    metrics: dict[str, float] = {"failed": 0}
    base = world.stats()["chats"] * SESSIONS  # no session is met again in the next round
    for turn in range(1, TURNS + 1):
        shown = turn in SHOWN_TURNS
        settles = shown or turn + 1 in SHOWN_TURNS  # the spans of the turns before are not its own
        options = {"clients": 4, "requests": SESSIONS, "base": base, "last": 49}
        loaded = world.load(server, "session", "bench:50:0:0", settle_s=SETTLE_S if settles else 0, **options)
        metrics["failed"] += SESSIONS - loaded.seen["ok"]
        if shown:
            metrics[f"turn_{turn}_ms"] = loaded.cpu_s / SESSIONS * 1e3
    yield Observation("turns", server.name, metrics)


def interleaved(world: World, servers: Sequence[Server], scenario: Costed, rounds: int) -> Iterator[Observation]:
    """Rounds in which all take turns, after one that counts for nothing."""
    for server in servers:
        list(scenario(world, server))
    for _ in range(rounds):
        for server in servers:
            yield from scenario(world, server)
