"""Debian's nginx on a free port of loopback, configured by the block of docs/deploying.md.

Around it everything is set that a distribution's configuration may set against event streams: the block must undo it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx

from tests.servers.postgres import free_port

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/deploying.md").read_text(encoding="utf-8")
AROUND = """
daemon off;
{user}
pid nginx.pid;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    gzip on;
    gzip_types *;
    gzip_proxied any;
    proxy_buffering on;
    proxy_ignore_headers X-Accel-Buffering;
    {block}
}}
"""


def program() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


def block() -> str:
    """The configuration that the documentation shows."""
    (found,) = re.findall(r"^```nginx\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    return str(found)


class Nginx:
    """A running one; `url` is where it listens, in the clear."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._reloads = 0
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def said(self) -> str:
        return (self._folder / "error.log").read_text()

    async def send_to(self, addresses: Sequence[str], *, without: str | None = None) -> None:
        """New connections go to those, `without` one that is listed as down; as `nginx -s reload` does it."""
        self.write(addresses, without)
        self._signal("reload")
        self._reloads += 1
        with anyio.fail_after(20):
            while self.said.count("gracefully shutting down") < self._reloads:
                await anyio.sleep(0.01)

    def write(self, addresses: Sequence[str], without: str | None = None) -> None:
        servers = "".join(f"    server {address}{' down' * (address == without)};\n" for address in addresses)
        text, number = re.subn(r"(    server [\d.:]+;\n)+", servers, block())
        assert number == 1
        text, number = re.subn(r"listen 443 ssl;", f"listen 127.0.0.1:{self._port};", text)
        assert number == 1
        text = re.sub(r"^ *ssl_.*\n", "", text, flags=re.MULTILINE)
        user = "user root;" if os.geteuid() == 0 else ""
        (self._folder / "nginx.conf").write_text(AROUND.format(block=text, user=user))

    @contextmanager
    def running(self) -> Iterator[None]:
        with subprocess.Popen(self._command("-g", "error_log error.log notice;")) as process:  # noqa: S603
            try:
                yield
            finally:
                process.terminate()

    async def until_listening(self) -> None:
        with anyio.fail_after(20):
            async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client:
                while True:
                    try:
                        await client.get("/metrics")
                    except httpx.TransportError:
                        await anyio.sleep(0.01)
                    else:
                        return

    def _signal(self, name: str) -> None:
        subprocess.run(self._command("-s", name), check=True, capture_output=True)  # noqa: S603

    def _command(self, *arguments: str) -> list[str]:
        nginx = program()
        assert nginx is not None
        return [nginx, "-p", f"{self._folder}/", "-c", "nginx.conf", "-e", "error.log", *arguments]
