"""How long the fuzzers look: at the same few cases each time, or at FUZZ times as many, of its own choice each time."""

import os

from hypothesis import HealthCheck, Phase, settings

FUZZ = int(os.environ.get("FUZZ", "1"))


def cases(number: int) -> settings:
    """So many; what fails is shrunk, and printed so that it can be tried again."""
    return settings(
        max_examples=number * FUZZ,
        derandomize=FUZZ == 1,
        database=None,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=FUZZ > 1,
    )
