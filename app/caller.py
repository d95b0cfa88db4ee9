"""Who asks. Sessions and runs belong to a caller and are only ever looked up by it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant, and the end user it acts for, or None for the tenant itself."""

    tenant: str = "default"
    user: str | None = None
