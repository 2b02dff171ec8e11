"""What a user agent says of itself: the program, its version, the system and the device. Pure, text to texts.

    Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) … Version/17.5 Mobile/15E148 Safari/604.1
        →  Mobile Safari, 17.5, iOS, 17.5, iPhone

By ua-parser, the Python side of uap-core: the rules that Elasticsearch's own processor of user agents uses, kept by many
and matched by one automaton in Rust (some 20 µs a text). A text is looked at once: columns ask by distinct values, and the
last ones are remembered. What it does not know stays with the original alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final

AGENT_PARTS: Final = ("original", "name", "version", "os.name", "os.version", "device.name")
_LONGEST: Final = 1_024  # characters that are looked at: a longer one is no browser's
_KEPT: Final = 20_000


@cache
def _parser() -> Any:
    from ua_parser import Parser
    from ua_parser.loaders import load_lazy_builtins
    from ua_parser.regex import Resolver

    return Parser(Resolver(load_lazy_builtins()))


def _version(*parts: str | None) -> str | None:
    return ".".join(part for part in parts if part) or None


@lru_cache(maxsize=_KEPT)
def user_agent(text: str) -> Sequence[str | None]:
    """The parts behind the original, in the order of `AGENT_PARTS`; None for what is not told."""
    found = _parser().parse(text[:_LONGEST])
    agent, system, device = found.user_agent, found.os, found.device
    return (
        agent and agent.family,
        agent and _version(agent.major, agent.minor, agent.patch, agent.patch_minor),
        system and system.family,
        system and _version(system.major, system.minor, system.patch, system.patch_minor),
        device and device.family,
    )
