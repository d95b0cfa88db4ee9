"""The catalog's weather tool: what a city's weather usually is, computed from `data/climate.csv`.

The table holds each month's usual high and low in °C and its days with rain (climate normals, rounded). A date
between two months' middles lies between their values.
"""

import asyncio
import csv
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated
from unicodedata import combining, normalize


async def weather(
    city: Annotated[str, "The city's English name, for example Paris"],
    day: Annotated[str, "The date as YYYY-MM-DD, or 'today', or 'tomorrow'"] = "today",
) -> str:
    """The usual weather in a city on a date: high and low temperature, and the chance of rain."""
    cities = await asyncio.to_thread(_cities)
    record = cities.get(_folded(city))
    if record is None:
        known = ", ".join(sorted(record["city"] for record in cities.values()))
        raise ValueError(f"no climate record for {city!r}; there is one for {known}")
    when = _date(day)
    high, low = (round(_on(record, column, when)) for column in ("high", "low"))
    rain = round(100 * _on(record, "wet", when) / 30.4)
    return f"{record['city']}, {record['country']}, {when:%d %B}: usually {low} to {high} °C, {rain} % chance of rain."


def _on(record: dict[str, str], column: str, when: date) -> float:
    """The value on that day: between the middle of its month and that of the nearer neighbour, by days."""
    middle = monthrange(when.year, when.month)[1] / 2
    offset = when.day - middle
    neighbour = (when.month + (1 if offset > 0 else -1) - 1) % 12 + 1
    weight = abs(offset) / 30.4
    here, there = float(record[f"{column}_{when.month}"]), float(record[f"{column}_{neighbour}"])
    return here * (1 - weight) + there * weight


def _date(day: str) -> date:
    today = datetime.now(UTC).date()
    match day.strip().lower():
        case "" | "today" | "now":
            return today
        case "tomorrow":
            return today + timedelta(days=1)
        case written:
            try:
                return date.fromisoformat(written)
            except ValueError:
                raise ValueError(f"the date {day!r} is not YYYY-MM-DD, 'today' or 'tomorrow'") from None


@cache
def _cities() -> dict[str, dict[str, str]]:
    table = files("app.agents").joinpath("data/climate.csv").read_text(encoding="utf-8")
    return {_folded(record["city"]): record for record in csv.DictReader(table.splitlines())}


def _folded(city: str) -> str:
    """Without accents, case and what follows a comma: 'Zürich, Switzerland' is 'zurich'."""
    plain = "".join(c for c in normalize("NFKD", city.partition(",")[0]) if not combining(c))
    return plain.strip().casefold()
