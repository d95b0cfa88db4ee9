"""How the processes of one deployment know of each other: who is dead, and what the others should look at.

`peers_for(database)` chooses. Every process has a `process_id` of its own, new at each start, that goes into
`runs.owner`. `dead(owners)` says which of those are gone for certain, because what only a living process can hold is
free: Postgres drops a session's advisory lock with its connection, the kernel drops a file's lock with its process.
A process that hangs holds on; leases are for those. `tell(topic, *ids)` wakes the listeners of every process.
"""

import sys
from pathlib import Path

from sqlalchemy import make_url

from app.siblings import Siblings
from app.store.database import Database
from app.store.local_peers import FilePeers, Listener, Peers
from app.store.notices import Topic
from app.store.sibling_peers import SiblingPeers

__all__ = ["Listener", "Peers", "Topic", "peers_for"]


def peers_for(database: Database, siblings: Siblings | None = None) -> Peers:
    """The peers of whoever uses the same database."""
    url = make_url(database.url)
    if url.get_backend_name() == "postgresql":
        from app.store.postgres_peers import PostgresPeers  # noqa: PLC0415 SQLite needs no driver of Postgres

        return PostgresPeers(url)
    if sys.platform == "win32":
        return Peers()
    folder = Path(f"{url.database}.processes")
    return FilePeers(folder) if siblings is None else SiblingPeers(folder, siblings)
