"""The service does what `/openapi.json` says of it, whatever it is sent: requests that fit the schema, and that do not.

Schemathesis makes the requests and looks at the answers; the service is a real one. Half of the requests name agents,
sessions and runs that there are.
"""

import json
import re
import traceback
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import requests
import schemathesis
from anyio import to_thread
from hypothesis import given
from schemathesis import Case, CheckContext, DeserializationContext, GenerationMode, Response
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.fuzz.budget import cases
from tests.service import Service, serving


def nothing_fails(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """A deadline that the request chose may pass."""
    assert response.status_code < 500 or response.status_code == 504, response.status_code


@schemathesis.deserializer("text/event-stream")
def _events(_: DeserializationContext, response: Response) -> list[Any]:
    """The schema of a stream is that of each event's data, which schemathesis would leave as text."""
    return [json.loads(data) for data in re.findall(r"^data: (.+)$", response.text, re.MULTILINE)]


CHECKS = [
    nothing_fails,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
KEY = "sk-fuzz"
Operation = APIOperation[Any, Any, Any, Any]


@pytest.mark.timeout(0)
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the service does, in another thread
@pytest.mark.parametrize("keys", [None, f"acme:{KEY}"], ids=["open", "credentials"])
async def test_every_operation_answers_as_it_is_described(with_openai: dict[str, Any], keys: str | None) -> None:
    """No failure of the service, no status, media type, header or body that the description does not have."""
    headers = {"Authorization": f"Bearer {KEY}"} if keys else {}
    async with serving(**with_openai, api_keys=keys) as service:
        service.client.headers.update(headers)
        known = await _known(service)
        failures = await to_thread.run_sync(lambda: list(_failures(service.url, headers, known)))
    assert not failures, "\n\n".join(failures)


async def _known(service: Service) -> dict[str, str]:
    run = await service.run("assistant", "hi", session_id="s")
    return {
        "name": "assistant",
        "session_id": "s",
        "run_id": run["run_id"],
        "response_id": f"resp_{run['run_id']}",
    }


def _failures(url: str, headers: dict[str, str], known: dict[str, str]) -> Iterator[str]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(headers)
        schema = schemathesis.openapi.from_dict(session.get(f"{url}/openapi.json").json())
        for operation in (found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)):
            for mode, path in product(MODES, _paths(operation, known)):
                try:
                    _try(operation, mode, path, url, session)
                except (Exception, BaseExceptionGroup) as failure:  # noqa: BLE001 the other operations are tried too
                    yield f"{operation.label}, {mode.value}: {_told(failure)}"


def _paths(operation: Operation, known: dict[str, str]) -> list[dict[str, str]]:
    """Any, and that of what there is, unless it would be deleted."""
    names = [parameter.name for parameter in operation.path_parameters]
    return [{}, {name: known[name] for name in names}] if names and operation.method != "delete" else [{}]


def _told(failure: BaseException) -> str:
    """Without the way there: what was found, what was answered, and how to ask it again."""
    return "".join(traceback.format_exception(failure, limit=0))


def _try(operation: Operation, mode: GenerationMode, path: dict[str, str], url: str, session: requests.Session) -> None:
    @cases(5)
    @given(case=operation.as_strategy(mode, path_parameters=path or None))
    def answers(case: Case[Any]) -> None:
        case.call_and_validate(base_url=url, session=session, checks=CHECKS, timeout=20)

    answers()
