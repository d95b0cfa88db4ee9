"""What has had its time goes from the rows, from the memory and from the traces of a service that is running."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from app.store.tables import RunRow, SessionRow
from tests.service import serving
from tests.store.held import writing


async def test_an_old_session_goes_with_all_of_it(with_openai: dict[str, Any]) -> None:
    """A young one stays, whole."""
    async with serving(**with_openai, session_ttl_days=1) as service:
        old = await service.run("assistant", "hi", session_id="old")
        young = await service.run("assistant", "hi", session_id="young")
        async with writing(service.parts.database) as connection:
            ago = datetime.now(UTC) - timedelta(days=2)
            await connection.execute(update(SessionRow).where(SessionRow.id == "old").values(updated_at=ago))
            aged = f"{int(ago.timestamp() * 1000):012x}"
            run_id = f"{aged[:8]}-{aged[8:]}{old['run_id'][13:]}"
            await connection.execute(update(RunRow).where(RunRow.id == old["run_id"]).values(id=run_id))
        await service.parts.tidying.tidy()
        for path in ("/sessions/old", f"/runs/{run_id}", f"/runs/{run_id}/stream"):
            await service.get(path, status=404)
        assert (await service.get(f"/runs/{young['run_id']}"))["status"] == "completed"
        assert [item["session_id"] for item in (await service.get("/sessions"))["items"]] == ["young"]
