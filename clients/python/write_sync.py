"""Makes waggle_client/_sync.py of _async.py: the same without waiting for anything but the answer."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parent / "waggle_client"
WORDS = {
    r'"""The client, for asyncio and trio\..*?"""': '"""The client. It is made of `_async.py`, by `write_sync.py`."""',
    r"from anyio import sleep\n": "",
    r"from typing": "from time import sleep\nfrom typing",
    r"from contextlib import aclosing": "from contextlib import nullcontext",
    r"aclosing\(": "nullcontext(",  # a generator that is left is closed at once
    r"\basync (def|with|for)\b": r"\1",
    r"\bawait ": "",
    r"\banext\(": "next(",
    r"AsyncGenerator": "Generator",
    r"AsyncClient": "Client",
    r"AsyncIterator": "Iterator",
    r"\bAsync(?=[A-Z])": "",
    r"__a(iter|next|enter|exit)__": r"__\1__",
    r"\ba(close|read|iter_sse)\b": r"\1",
}


def sync() -> str:
    """What is to be in it."""
    text = (PACKAGE / "_async.py").read_text(encoding="utf-8")
    for word, instead in WORDS.items():
        text = re.sub(word, instead, text)
    return text


if __name__ == "__main__":
    (PACKAGE / "_sync.py").write_text(sync(), encoding="utf-8")
