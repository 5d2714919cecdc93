"""Whether the hub of pretrained weights can be reached, so that a run without a network does not wait for it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants

#: Seconds in which the hub, or the proxy, must accept a connection.
PATIENCE = 3.0


@contextmanager
def hub_or_cache() -> Iterator[bool]:
    """In the block, ask the hub only if it can be reached. Otherwise, only copies of earlier runs are found.

    Without this, libraries try to connect for about a minute.

    Yields:
        Whether the hub is asked.
    """
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not reachable(constants.ENDPOINT)
    try:
        yield not constants.HF_HUB_OFFLINE
    finally:
        constants.HF_HUB_OFFLINE = before


def reachable(address: str) -> bool:
    """Return whether a server, or the proxy before it, accepts a connection within `PATIENCE` seconds."""
    place = urlsplit(getproxies().get(urlsplit(address).scheme) or os.environ.get("ALL_PROXY") or address)
    answered: list[bool] = []

    def connect() -> None:
        try:
            port = place.port or (80 if place.scheme == "http" else 443)
            socket.create_connection((place.hostname or "", port), PATIENCE).close()
            answered.append(True)
        except OSError:
            pass

    # A name server that does not answer would otherwise wait longer than the connection.
    attempt = Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(PATIENCE)
    return bool(answered)
