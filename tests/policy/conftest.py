"""Properties are judged by what they find, not by how busy the machine is."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

settings.register_profile("calm", deadline=None)
# `make mutants`: the same examples each time, and no time spent on making a smaller one.
settings.register_profile(
    "mutants",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),  # a slow machine finds no mistakes
)
settings.load_profile(os.environ.get("EXCHANGE_HYPOTHESIS", "calm"))
