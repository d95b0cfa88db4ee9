"""The only reader of the environment. Every setting is in `.env.example`, which a test compares with this class."""

import sys
from typing import Self

from pydantic import model_validator

from app.settings.models import Models
from app.settings.runs import Runs
from app.settings.serving import Serving
from app.settings.storage import Storage
from app.settings.traces import Traces


class Settings(Serving, Models, Storage, Runs, Traces):
    """Read once, from the environment and `.env`, and handed down by `create_app`."""

    @model_validator(mode="after")
    def _shared_by_workers(self) -> Self:
        if self.workers > 1 and sys.platform == "win32":
            raise ValueError("WORKERS needs a POSIX system: start one process, or several on Postgres behind a proxy")
        if self.workers > 1 and (self.database_url or "").partition("?")[0].endswith(("://", ":memory:")):
            raise ValueError("WORKERS need a database that they share: set DATABASE_URL to a file, or to Postgres")
        return self
