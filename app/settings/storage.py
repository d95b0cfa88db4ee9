"""Where conversations are kept, and which processes share them."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from app.settings.group import Group


class Storage(Group):
    """The database, and who takes the runs from it."""

    data_dir: Path = Path("data")
    """The folder of the SQLite database."""
    database_url: str | None = None
    """`postgresql://user:password@host/database`; unset: SQLite in DATA_DIR."""
    database_connections: int = Field(15, ge=2)
    """Connections to Postgres for statements, at most; one more a process is for notices. Beyond, statements wait."""
    redis_url: str | None = None
    """`redis://…`: where the processes of one deployment on Postgres share the events of runs; unset: in Postgres."""
    role: Literal["all", "api", "worker"] = "all"
    """`api` leaves background, queued and recovered runs to others; `worker` takes those alone, and answers probes."""
    lease_s: float = Field(30, ge=1)
    """Seconds after which a run counts as lost when its process no longer says that it lives."""
