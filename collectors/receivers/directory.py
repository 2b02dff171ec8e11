"""Who sent it: from a key, a certificate, or listener and address; never from what a record says.

In: a key as the sender gave it, a verified certificate's names, or the address of a socket's other end. Out: the
source's identity, or None, and then the sender is refused and counted as a knock.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from collectors.files import fingerprint_of
from collectors.receivers import keys

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_REMEMBERED: Final = 100_000


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """`weak`: known by listener and address only, as syslog without TLS is. `assemble`: what of several
    lines is one record, see `starts`."""

    source: str
    agency: str
    product: str
    weak: bool = False
    encoding: str = ""
    assemble: str = ""


class SourceDirectory(Protocol):
    """Lookups answer from memory at once; `refresh` may wait for the register."""

    def by_key(self, key_id: str, secret: str) -> SourceIdentity | None: ...

    def by_address(self, listener: str, address: str) -> SourceIdentity | None: ...

    def by_source(self, source: str) -> SourceIdentity | None:
        """The source that an input of files is configured for."""

    def handed_over(self, source: str, head: bytes) -> tuple[str, int]:
        """The name of a file that begins so, and how many bytes of it the source has ingested; 0 where that
        cannot be told."""

    def by_certificate(self, names: Sequence[str]) -> SourceIdentity | None:
        """`names` of `certificates.names_of`: the first that is registered."""

    def refresh(self) -> None:
        """Read the register again. Called from a thread every few seconds and on unknown keys."""


class AddressBook:
    """Ranges of addresses per listener; the narrowest range wins."""

    def __init__(self, entries: Iterable[tuple[str, str, SourceIdentity]]) -> None:
        self._ranges: dict[str, list[tuple[Network, SourceIdentity]]] = {}
        self._known: dict[tuple[str, str], SourceIdentity | None] = {}
        for listener, network, identity in entries:
            parsed = ipaddress.ip_network(network, strict=False)
            self._ranges.setdefault(listener, []).append((parsed, identity))
        for ranges in self._ranges.values():
            ranges.sort(key=lambda entry: -entry[0].prefixlen)

    def find(self, listener: str, address: str) -> SourceIdentity | None:
        key = (listener, address)
        try:
            return self._known[key]
        except KeyError:
            pass
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[key] = found = self._search(listener, address)
        return found

    def _search(self, listener: str, address: str) -> SourceIdentity | None:
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        for network, identity in self._ranges.get(listener, ()):
            if parsed in network:  # of the other IP version: never in
                return identity
        return None


class FixedDirectory:
    """A directory that is given whole: for tests, and for tools without a register."""

    def __init__(
        self,
        addresses: Iterable[tuple[str, str, SourceIdentity]] = (),
        secrets: Mapping[str, tuple[str, SourceIdentity]] | None = None,
        files: Iterable[SourceIdentity] = (),
        certificates: Mapping[str, SourceIdentity] | None = None,
    ) -> None:
        """`addresses` of (listener, network, identity); `secrets` of key id → (secret, identity);
        `certificates` of a name (`certificates.names_of`) → identity."""
        self._certificates = certificates or {}
        entries = list(addresses)
        self._book = AddressBook(entries)
        self._keys = {k: (keys.hashed(s), identity) for k, (s, identity) in (secrets or {}).items()}
        self._sources = {i.source: i for i in [*(e[2] for e in entries), *files]}
        self._sources |= {i.source: i for _, i in self._keys.values()}

    def by_key(self, key_id: str, secret: str) -> SourceIdentity | None:
        found = self._keys.get(key_id)
        return found[1] if keys.matches(secret, found[0] if found else b"") and found else None

    def by_address(self, listener: str, address: str) -> SourceIdentity | None:
        return self._book.find(listener, address)

    def by_source(self, source: str) -> SourceIdentity | None:
        return self._sources.get(source)

    def handed_over(self, source: str, head: bytes) -> tuple[str, int]:
        return fingerprint_of(head), 0

    def by_certificate(self, names: Sequence[str]) -> SourceIdentity | None:
        return first_known(names, self._certificates)

    def refresh(self) -> None:
        return


def first_known(
    names: Sequence[str], known: Mapping[str, SourceIdentity | None]
) -> SourceIdentity | None:
    """The identity of the first name that is registered; one whose source is None (revoked) ends the search."""
    for name in names:
        if name in known:
            return known[name]
    return None
