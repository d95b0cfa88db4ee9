"""Who else makes spans in this process, or takes them."""

from collections import defaultdict
from collections.abc import Iterator

from app.doctor.result import Finding, Result, summed
from app.telemetry.wiring import Instrumentor, foreign_provider, instrumentors, tracers

REMOVE = (
    "Do not set a tracer provider before Waggle starts (in sitecustomize, by opentelemetry-instrument or another SDK): "
    "let OTEL_EXPORTER_OTLP_ENDPOINT and HH_API_KEY say where traces go."
)


def tracer_provider() -> Result:
    """To be asked before the service starts: whose the global provider is, which AutoGen's spans go to."""
    foreign = foreign_provider()
    if foreign is None:
        return Result("tracer-provider", "ok", "none is set before Waggle's")
    if not foreign.joined:
        found = f"{foreign.kind} was installed first and takes all spans: none reaches Waggle's backends"
        return Result("tracer-provider", "fail", found, REMOVE)
    found = f"{foreign.kind} was installed first; Waggle's backends are added to it"
    if foreign.dropped:
        drops = f"{found}, but its sampler drops {foreign.dropped:.0%} of the traces"
        return Result("tracer-provider", "fail", drops, f"Unset OTEL_TRACES_SAMPLER, or: {REMOVE}")
    if foreign.exporters:
        found += f", so that spans go to {', '.join(foreign.exporters)} too"
    return Result("tracer-provider", "warn", found, REMOVE)


def instrumented() -> Result:
    """To be asked before the service puts in its own, and after the agents were loaded."""
    found = instrumentors()
    others = [each.package for each in found if each.active and not each.ours]
    otherwise = f"active besides Waggle's own: {', '.join(others)}" if others else "none but Waggle's own"
    return summed("instrumentors", _findings(found), otherwise)


def _findings(found: list[Instrumentor]) -> Iterator[Finding]:
    for each in found:
        if "autogen" in each.package or "autogen" in each.name:
            yield _autogen(each)
        elif each.active and each.ours:
            said = f"{each.package} was active before Waggle put it in, and keeps the provider it was given"
            yield Finding("warn", said, f"Leave {each.name}'s instrumentor to Waggle: do not call its instrument().")
    active = defaultdict(list)
    for each in found:
        if each.active or each.ours:
            active[each.name.partition("_")[0].partition("-")[0]].append(each)
    for library, makers in active.items():
        if len(makers) > 1:
            said = f"{library} is instrumented twice: by {' and by '.join(each.package for each in makers)}"
            advice = f"Uninstall or do not activate {next(each.package for each in makers if not each.ours)}."
            yield Finding("fail", said, advice)
    for product in tracers():
        said = f"{product} is loaded, and may make spans of its own"
        yield Finding("warn", said, f"Start Waggle without {product} if spans are doubled.")


def _autogen(each: Instrumentor) -> Finding:
    if each.active:
        said = f"{each.package} is active: it doubles every span that AutoGen makes itself"
        return Finding("fail", said, f"`pip uninstall {each.package}`, or do not call its instrument().")
    said = f"{each.package} is installed: active, it would double every span of AutoGen's"
    return Finding("warn", said, f"`pip uninstall {each.package}`.")
