"""What a person says of a run: kept with it, and told in its trace."""

from typing import Any

import pytest
from sqlalchemy import select

from app.store.tables import FeedbackRow
from tests.servers.honeyhive import HoneyHive
from tests.servers.otlp import Collector
from tests.servers.trees import named, orphans, traces, tree
from tests.service import Service, serving
from tests.store.held import writing


async def test_feedback_reaches_the_database_and_the_trace(
    collector: Collector, honeyhive: HoneyHive, with_openai: dict[str, Any]
) -> None:
    """After the run, also from another process: a span under the run's root, with score, label and comment."""
    settings = with_openai | {
        "otel_exporter_otlp_endpoint": collector.url,
        "hh_api_url": honeyhive.url,
        "hh_api_key": "hh_test_key",
    }
    async with serving(**settings) as service:
        run = await service.run("assistant", "hi", user_id="ann")
    said = {"score": 0.5, "label": "so-so", "comment": "Too short."}
    async with serving(**settings) as service:
        answer = await service.client.post(f"/runs/{run['run_id']}/feedback", json=said, headers={"X-User-ID": "ann"})
        assert (answer.status_code, answer.content) == (204, b"")
        async with writing(service.parts.database) as connection:
            kept = (await connection.execute(select(FeedbackRow.__table__))).one()
        assert (kept.run_id, kept.score, kept.label, kept.comment) == (run["run_id"], 0.5, "so-so", "Too short.")
    for spans in (traces(collector.spans())[run["trace_id"]], honeyhive.kept()):
        assert not orphans(spans), tree(spans)
        feedback = named(spans, "user_feedback")
        assert feedback.parent_id == named(spans, "POST /agents/{name}/run").span_id
        assert feedback.attributes["honeyhive_feedback.score"] == 0.5
        assert feedback.attributes["honeyhive_feedback.comment"] == "Too short."
        assert feedback.attributes["user.id"] == "ann"
        assert [event.name for event in feedback.events] == ["gen_ai.evaluation.result"]
        evaluation = feedback.events[0].attributes
        assert evaluation["gen_ai.evaluation.score.value"] == 0.5
        assert evaluation["gen_ai.evaluation.score.label"] == "so-so"


@pytest.mark.parametrize(
    "body", [{}, {"score": 2}, {"score": "good"}, {"score": 1, "stars": 5}, {"score": 1, "label": ""}]
)
async def test_wrong_feedback_is_refused(body: dict[str, Any], service: Service) -> None:
    """422, naming the field."""
    run = await service.run("assistant", "hi")
    assert (await service.client.post(f"/runs/{run['run_id']}/feedback", json=body)).status_code == 422


async def test_feedback_is_read_again(service: Service) -> None:
    """The latest first, page by page; to anybody but the run's owner the run does not exist."""
    run = await service.run("assistant", "hi", user_id="ann")
    path, ann = f"/runs/{run['run_id']}/feedback", {"X-User-ID": "ann"}
    assert await service.get(path, "ann") == {"items": [], "next_cursor": None}
    for said in ({"score": 0, "label": "bad"}, {"score": 1, "comment": "On second thoughts."}):
        await service.client.post(path, json=said, headers=ann)
    latest = await service.get(f"{path}?limit=1", "ann")
    (first,) = latest["items"]
    assert (first["score"], first["label"], first["comment"]) == (1, None, "On second thoughts.")
    earlier = await service.get(f"{path}?limit=1&cursor={latest['next_cursor']}", "ann")
    assert [(each["score"], each["label"]) for each in earlier["items"]] == [(0, "bad")]
    assert earlier["next_cursor"] is None
    await service.get(path, "bob", status=404)


async def test_a_run_is_judged_by_its_owner(service: Service) -> None:
    """To anybody else it does not exist."""
    run = await service.run("assistant", "hi", user_id="ann")
    for headers in ({"X-User-ID": "bob"}, None):
        answer = await service.client.post(f"/runs/{run['run_id']}/feedback", json={"score": 1}, headers=headers)
        assert answer.status_code == 404
