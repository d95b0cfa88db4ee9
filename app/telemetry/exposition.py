"""What several workers expose, as one exposition: each series with the number of its worker.

They are not added up. A worker that dies takes its counters with it: a sum would fall by them, and `rate` would take
that for a new start of all; what a gauge's sum means is each gauge's own affair.
"""

from collections import defaultdict
from collections.abc import Mapping


def together(expositions: Mapping[int, bytes]) -> bytes:
    """Of texts as `prometheus_client` writes them: families one after the other, `# HELP` first in each."""
    families: defaultdict[str, list[str]] = defaultdict(list)
    for worker, text in sorted(expositions.items()):
        head = ""
        for line in text.decode().splitlines():
            if line.startswith("# HELP "):
                head = line
            elif line.startswith("#"):
                head = f"{head}\n{line}"
            else:
                families[head].append(_labelled(line, worker))
    return "".join("\n".join((head, *series, "")) for head, series in families.items()).encode()


def _labelled(series: str, worker: int) -> str:
    name, brace, rest = series.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = series.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
