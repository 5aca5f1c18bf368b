"""The faults, by what they break. Each module registers its own; `../expected.py` says what our side must make of them."""

from . import alerts, chains, client_init, ends, finished, frames, order, records, server_init

__all__ = [
    "alerts",
    "chains",
    "client_init",
    "ends",
    "finished",
    "frames",
    "order",
    "records",
    "server_init",
]
