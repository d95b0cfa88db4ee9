"""The service, which says how much it holds when it is sent SIGUSR1: a line of JSON in the file that SOAK_TOLD names.

Nobody else can ask: nothing of it is in the service.
"""

import asyncio
import ctypes
import gc
import json
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

from opentelemetry.sdk.trace import Span

from app.settings import Settings
from app.supervisor import serve

LIBC = ctypes.CDLL(None)


def held() -> dict[str, object]:
    """Now, after what is garbage was collected and what the allocator keeps was given back."""
    gc.collect()
    LIBC.malloc_trim(0)
    tasks = Counter(task.get_name().rstrip("0123456789-") for task in asyncio.all_tasks())
    status = Path("/proc/self/status").read_text()
    return {
        "rss_kib": int(status.partition("VmRSS:")[2].split()[0]),
        "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 the count alone
        "threads": threading.active_count(),
        "tasks": sum(tasks.values()),
        "runs": sum(count for name, count in tasks.items() if name.startswith("run ")),
        "spans": sum(isinstance(one, Span) and one.is_recording() for one in gc.get_objects()),
    }


def tell(_number: int, _frame: FrameType | None) -> None:
    with Path(os.environ["SOAK_TOLD"]).open("a") as file:
        file.write(json.dumps(held()) + "\n")


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, tell)
    serve(Settings())
