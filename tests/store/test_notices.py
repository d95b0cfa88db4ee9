from app.store.notices import LIMIT_BYTES, read, written


def test_what_is_written_is_read() -> None:
    """Topic and ids, whatever they are made of; none are possible."""
    ids = ["run", 'a "quoted" one', "\x00\n", "\U0001f41d"]
    assert [read(notice) for notice in written("changed", ids)] == [("changed", ids)]
    assert [read(notice) for notice in written("resync", [])] == [("resync", [])]


def test_many_ids_take_several_notices_that_postgres_accepts() -> None:
    """All ids come, in order, in as few as there is room for."""
    ids = [f"{number:036}é" for number in range(1000)]
    notices = written("events", ids)
    assert max(len(notice.encode()) for notice in notices) <= LIMIT_BYTES
    assert len(notices) == 6
    assert [id_ for notice in notices for id_ in read(notice)[1]] == ids
