"""The weather tool: computed from the repository's table, for any day of the year."""

import csv
import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from app.agents import climate
from app.agents.climate import weather
from tests.servers.openai_wire import OpenAIWire
from tests.servers.replies import Reply, Request, Text, ToolCall, ToolCalls
from tests.service import Service

TABLE = Path(climate.__file__).with_name("data") / "climate.csv"
CITIES = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
NAMES = [record["city"] for record in CITIES]
SAID = re.compile(r"(.+), (.+), (\d\d \w+): usually (-?\d+) to (-?\d+) °C, (\d+) % chance of rain\.")


class Weather(NamedTuple):
    """What the tool said."""

    city: str
    country: str
    day: str
    low: int
    high: int
    rain: int


async def said(city: str, day: str) -> Weather:
    match = SAID.fullmatch(await weather(city, day))
    assert match is not None
    return Weather(match[1], match[2], match[3], int(match[4]), int(match[5]), int(match[6]))


@pytest.mark.parametrize("record", CITIES, ids=NAMES)
async def test_the_middle_of_a_month(record: dict[str, str]) -> None:
    """There, the table's own values are told."""
    for month in (4, 6, 9, 11):  # of thirty days: the fifteenth is the middle
        told = await said(record["city"], f"2026-{month:02}-15")
        assert told[:2] == (record["city"], record["country"])
        assert (told.low, told.high) == (int(record[f"low_{month}"]), int(record[f"high_{month}"]))
        assert told.rain == round(100 * int(record[f"wet_{month}"]) / 30.4)


@pytest.mark.parametrize("city", NAMES)
async def test_a_whole_year(city: str) -> None:
    """No day is colder than its night, rain is never more than certain, and no two days in a row leap."""
    days = [date(2028, 1, 1) + timedelta(days=number) for number in range(367)]
    year = [await said(city, day.isoformat()) for day in days]
    for told, day in zip(year, days, strict=True):
        assert told.day == f"{day:%d %B}"
        assert told.low < told.high
        assert 0 <= told.rain <= 100
    for before, after in pairwise(year):
        assert abs(before.low - after.low) <= 2
        assert abs(before.high - after.high) <= 2
        assert abs(before.rain - after.rain) <= 8


async def test_between_two_months() -> None:
    """A day at the turn of the months lies between their values."""
    athens = next(record for record in CITIES if record["city"] == "Athens")
    march, april = int(athens["high_3"]), int(athens["high_4"])
    assert march < (await said("Athens", "2026-03-31")).high < april
    assert march < (await said("Athens", "2026-04-01")).high < april


@pytest.mark.parametrize(
    ("written", "city"),
    [("paris", "Paris"), (" PARIS ", "Paris"), ("Paris, France", "Paris"), ("Zürich", "Zurich"), ("zurich", "Zurich")],
)
async def test_how_a_city_is_written(written: str, city: str) -> None:
    """Case, accents and the country behind it do not matter."""
    found = await said(written, "2026-07-14")
    assert climate._folded(found.city) == climate._folded(city)


async def test_today_and_tomorrow() -> None:
    """A model may leave the date to the service."""
    for word, days in (("today", 0), ("", 0), ("Now", 0), (" TOMORROW ", 1)):
        before = datetime.now(UTC).date() + timedelta(days=days)
        told = await weather("Paris", word)
        after = datetime.now(UTC).date() + timedelta(days=days)
        assert told in (await weather("Paris", before.isoformat()), await weather("Paris", after.isoformat()))
    assert await weather("Paris") == await weather("Paris", "today")


async def test_what_it_does_not_know() -> None:
    """An unknown city is answered with those there are, an odd date with how to write one."""
    with pytest.raises(ValueError, match=r"no climate record for 'Atlantis'; there is one for Amsterdam, .*Zurich"):
        await weather("Atlantis", "2026-07-14")
    for odd in ("14 July", "2026-02-30", "yesterday"):
        with pytest.raises(ValueError, match=f"the date '{odd}' is not YYYY-MM-DD, 'today' or 'tomorrow'"):
            await weather("Paris", odd)


async def test_a_model_is_told_what_was_wrong(openai: OpenAIWire, service: Service) -> None:
    """A call for a city that is not there is an error that the model reads, and the run goes on."""

    def replies(request: Request) -> Reply:
        if request.asked.results:
            return Text(request.asked.results[-1][:37])
        return ToolCalls((ToolCall("weather", {"city": "Atlantis", "day": "2026-07-14"}),))

    openai.replies = replies
    run = await service.run("weather", "How is it in Atlantis?")
    (result,) = [message for message in run["messages"] if message["type"] == "tool_result"]
    assert result["is_error"] is True
    assert run["output"] == "no climate record for 'Atlantis'; the"
