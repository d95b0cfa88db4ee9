"""Peers where the processes on one SQLite file are the workers of one service: they wake each other as well."""

from pathlib import Path

from app.siblings import Siblings
from app.store.local_peers import FilePeers
from app.store.notices import Topic, read, written


class SiblingPeers(FilePeers):
    """They see by files' locks who lives, and hear each other over their sockets."""

    def __init__(self, folder: Path, siblings: Siblings) -> None:
        super().__init__(folder)
        self._siblings = siblings
        siblings.listen(lambda notice: self.hear(*read(notice)))

    async def tell(self, topic: Topic, *ids: str) -> None:
        self.hear(topic, ids)
        for notice in written(topic, ids):
            self._siblings.tell(notice)
