"""What a check says."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "skip"]
Severity = Literal["warn", "fail"]


@dataclass(frozen=True, slots=True)
class Result:
    """One check's outcome: a name that stays the same, and words without any secret."""

    name: str
    status: Status
    found: str
    advice: str = ""
    """What to do; empty where there is nothing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found to be said."""

    status: Severity
    found: str
    advice: str


def summed(name: str, findings: Iterable[Finding], otherwise: str) -> Result:
    """The check's result: as bad as the worst of its findings, `otherwise` where there are none."""
    found = list(findings)
    if not found:
        return Result(name, "ok", otherwise)
    status: Status = "fail" if any(finding.status == "fail" for finding in found) else "warn"
    advice = dict.fromkeys(finding.advice for finding in found)
    return Result(name, status, "; ".join(finding.found for finding in found), " ".join(advice))


def skipped(name: str, why: str) -> Result:
    return Result(name, "skip", why)


def worst(results: Iterable[Result]) -> Status:
    """As bad as the worst of them."""
    statuses = {result.status for result in results}
    return "fail" if "fail" in statuses else "warn" if "warn" in statuses else "ok"
