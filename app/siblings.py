"""The workers of one service, `WORKERS=n`: processes behind one port, and what they tell and ask each other.

Nothing that must last goes this way, and nobody waits for it: a worker that does not answer is left out. Each listens
on a socket in a folder of their parent's, which is closed to other users. A line there that begins with `!` is a
notice; any other is a question, which gets its answer and the connection's end.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

ASK_S = 1.0
"""What a worker gets to answer; its loop may be blocked."""
UNTOLD_BYTES = 1 << 20
"""Of notices that a worker has still to read: beyond, it misses some, and finds by itself what there is."""

Answer = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Worker:
    """Which of the workers a process is."""

    number: int
    """From 1 to `workers`; who is started in a dead one's place has its number."""
    workers: int
    folder: Path
    """Theirs alone, and gone with their parent."""
    secret: str = field(repr=False)
    """Known to them alone."""

    @property
    def others(self) -> list[int]:
        return [number for number in range(1, self.workers + 1) if number != self.number]

    def socket(self, number: int) -> Path:
        return self.folder / f"{number}.socket"


class Siblings:
    """A worker's ear and mouth."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._answers: dict[str, Answer] = {}
        self._listeners: list[Callable[[str], None]] = []
        self._server: asyncio.Server | None = None
        self._untold: dict[str, None] = {}
        self._news = asyncio.Event()
        self._links: dict[int, asyncio.StreamWriter] = {}

    def answer(self, word: str, answer: Answer) -> None:
        """Answer questions that begin with that word; the rest of the line is given to it."""
        self._answers[word] = answer

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call it with each notice of another worker."""
        self._listeners.append(listener)

    async def start(self) -> None:
        own = self.worker.socket(self.worker.number)
        own.unlink(missing_ok=True)  # a dead predecessor's
        self._server = await asyncio.start_unix_server(self._hear, own)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for link in self._links.values():
            link.close()

    def tell(self, notice: str) -> None:
        """Tell all others, soon; the same notice twice is one."""
        self._untold[notice] = None
        self._news.set()

    async def serve(self) -> None:
        """Tell what there is to tell, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            untold, self._untold = self._untold, {}
            lines = "".join(f"!{notice}\n" for notice in untold).encode()
            for number in self.worker.others:
                if (link := await self._link(number)) is not None:
                    link.write(lines)

    async def ask(self, question: str) -> dict[int, bytes]:
        """The answers of all others that give one in time, by their numbers."""
        answers = await asyncio.gather(*(self._ask(number, question) for number in self.worker.others))
        return {number: answer for number, answer in zip(self.worker.others, answers, strict=True) if answer}

    async def _ask(self, number: int, question: str) -> bytes:
        try:
            async with asyncio.timeout(ASK_S):
                reader, writer = await asyncio.open_unix_connection(self.worker.socket(number))
                try:
                    writer.write(f"{question}\n".encode())
                    return await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return b""

    async def _link(self, number: int) -> asyncio.StreamWriter | None:
        """A connection that is kept; None where nobody listens, or nobody reads."""
        link = self._links.get(number)
        if link is None or link.is_closing():
            try:
                _, link = await asyncio.open_unix_connection(self.worker.socket(number))
            except OSError:
                return None
            self._links[number] = link
        return link if link.transport.get_write_buffer_size() < UNTOLD_BYTES else None

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while line := (await reader.readline()).decode().rstrip("\n"):
                    if line.startswith("!"):
                        for listener in self._listeners:
                            listener(line[1:])
                        continue
                    word, _, rest = line.partition(" ")
                    writer.write(await self._answers[word](rest))
                    return
        finally:
            writer.close()
