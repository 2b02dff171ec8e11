"""The role *console*: the pages served by uvicorn, until told to stop.

In: an opened home. Out: HTTP on ``console.address`` and ``console.port``. The pulse is written from the event
loop itself, so a loop that hangs stops beating; a port that is taken is an error that names the setting.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import TYPE_CHECKING

from pipeline.model.errors import ServiceAwayError
from pipeline.serve.policy import shelf_of
from pipeline.serve.pulse import Heart
from pipeline.settings.values import ConsoleSettings

if TYPE_CHECKING:
    import uvicorn

    from pipeline.serve.installation import Installation

GRACE_SECONDS = 2  # for answers that are under way when the console is told to stop


def serve_console(here: Installation, stop: threading.Event) -> None:
    """Blocks until `stop`. ServiceAwayError when the port cannot be had."""
    import uvicorn

    from pipeline.console.site import create_site

    settings = here.settings.console
    app = create_site(
        here.state, here.store, shelf=shelf_of(here.settings), public_url=settings.public_url,
        per_minute=settings.api_per_minute, cache=here.settings.cache, collect=here.settings.collect,
        health=here.settings.health,
    )  # fmt: skip
    threading.Thread(target=app.keep_warm, args=(stop,), name="warm", daemon=True).start()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    with _listening(settings) as listener:
        asyncio.run(_serve(server, listener, Heart(here.state, "console"), stop))


async def _serve(
    server: uvicorn.Server, listener: socket.socket, heart: Heart, stop: threading.Event
) -> None:
    async def watch() -> None:
        while not stop.is_set() and not server.should_exit:
            if server.started:
                await asyncio.to_thread(heart.beat, progress=True)
            await asyncio.sleep(0.2)
        server.should_exit = True

    watching = asyncio.create_task(watch())
    await server.serve(sockets=[listener])
    stop.set()  # uvicorn takes the signals while it serves
    await watching


def _listening(settings: ConsoleSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.address, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise ServiceAwayError(
            "the console's port is taken" if taken else "the console cannot listen",
            where="console.address, console.port", got=f"{settings.address}:{settings.port} ({error.strerror})",
            remedy="stop the program that holds it, or set another console.port in thapcanh.yml",
        ) from error  # fmt: skip
    return listener
