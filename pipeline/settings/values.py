"""Every setting with its default. `config/thapcanh.yml` shows the same with an explanation of each.

Values are frozen; a secret is never a value but a reference (``file:/path`` or ``env:NAME``) that is
read where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.settings.places import Additions

Level = Literal["informational", "low", "medium", "high", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One listening socket. `kind` names the receiver; `name` is what address ranges refer to.
    `proxies` are addresses whose connections begin with the PROXY protocol, version 2 (not syslog_udp).
    `group` names the process that it shares with others of that group; without one it is the collector's own."""

    name: str
    kind: Literal["http_bulk", "relp", "syslog_tcp", "syslog_udp"]
    address: str = "127.0.0.1"
    port: int = 0
    certificate: str = ""
    key: str = ""
    client_ca: str = ""
    proxies: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInput:
    """Files that are followed, of one source. `paths` are patterns (``/var/log/app/*.log``, ``**`` for any folders).
    Of kind rest_poll: an API that is polled, as the one file of `paths` describes."""

    name: str
    kind: Literal["file_tail", "evtx_file", "rest_poll"]
    source: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """Receivers and the spool. Sizes in bytes. `files` are looked at every `poll_seconds`; `settle_seconds` is
    how long a file must be quiet to count as whole. Lines that are to make one record wait `assemble_seconds`
    for each other. An agency whose unsettled records take more than `spool_agency_bytes`, or wait longer than
    `spool_agency_hours`, is pushed back (0: no limit). `free_bytes` of the spool's disk are left to others.
    `max_rate_per_source` is in records a second (0: no limit). `public_host` is the name or address that senders
    are told; empty: a listener's own address, this machine's name where it listens on all."""

    node: str = "collect-1"
    public_host: str = ""
    listeners: tuple[Listener, ...] = (
        Listener(name="http", kind="http_bulk", port=9700),
        Listener(name="syslog-tcp", kind="syslog_tcp", port=9714),
        Listener(name="syslog-udp", kind="syslog_udp", port=9714),
    )
    files: tuple[FileInput, ...] = ()
    poll_seconds: float = 1.0
    settle_seconds: float = 10.0
    assemble_seconds: float = 2.0
    max_record_bytes: int = 1_048_576
    max_connections: int = 2_000
    max_rate_per_source: float = 0.0
    spool_segment_bytes: int = 67_108_864
    spool_max_bytes: int = 10_737_418_240
    spool_agency_bytes: int = 5_368_709_120
    spool_agency_hours: float = 72.0
    spool_retain_minutes: int = 60
    free_bytes: int = 268_435_456


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSettings:
    """`url` is SQLAlchemy's; empty means SQLite in the home folder."""

    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticsearchSettings:
    """The cluster of `kind` elasticsearch. `ca` is the path of its authority's certificate; `api_key` and
    `password` are references. Seconds of one request, and of trying before a commit is put off. `shards` of each
    index that is made from now on."""

    hosts: tuple[str, ...] = ()
    ca: str = ""
    api_key: str = ""
    user: str = ""
    password: str = ""
    compress: bool = False
    timeout: float = 30.0
    patience: float = 20.0
    shards: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """`kind` lake keeps events as Parquet under the home folder, elasticsearch in a cluster. Days of receipts
    that a resend is looked up over. One search may take so many seconds, bytes of what it gathers, and
    threads (the lake's)."""

    kind: Literal["lake", "elasticsearch"] = "lake"
    elasticsearch: ElasticsearchSettings = field(default_factory=ElasticsearchSettings)
    resend_days: int = 10
    search_seconds: float = 30.0
    search_bytes: int = 268_435_456
    search_threads: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NormaliseSettings:
    """At most `batch` records or `interval` seconds, whichever comes first. `countries` is the path of a
    GeoIP file; empty: the small table that comes with the program. `networks` is that of a database of
    autonomous systems; empty: none. `products` and `taxonomy` are folders of the home's own files, beside
    those that ship; empty: none."""

    batch: int = 20_000
    interval: float = 0.5
    countries: str = ""
    networks: str = ""
    products: str = "products"
    taxonomy: str = "taxonomy"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectSettings:
    """A run starts when the watermark has moved and `interval` seconds have passed since the last."""

    interval: float = 3.0
    window: int = 200_000
    lease_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketSettings:
    """Findings of rules at `level` and up, with a status named here, open tickets; those of one agency and
    entity that lie within `gap_minutes` of each other share one. When so many findings of a rule at an
    agency as `storm_per_hour` have opened tickets within an hour, further ones hang under one (0: never).
    A file on a ticket has at most `attachment_bytes`, a ticket at most `attachments` files. `escalate_to`:
    ids of people who hear of every clock that ran out.
    """

    interval: float = 1.0
    level: Level = "medium"
    statuses: tuple[str, ...] = ("stable", "test")
    gap_minutes: int = 60
    storm_per_hour: int = 30
    attachment_bytes: int = 10_485_760
    attachments: int = 50
    escalate_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """When a source is not well (`pipeline/sources/conditions.py`), and for how many minutes it must have been so
    before a ticket opens, and well before it closes. Looked at every `every_seconds`; 0 never."""

    every_seconds: float = 60.0
    settle_minutes: int = 5
    silence_events: float = 20.0
    silence_minutes: int = 15
    silence_hours: int = 24
    lag_minutes: int = 30
    skew_minutes: int = 5
    failure_share: float = 0.05
    failure_least: int = 20
    resend_share: float = 0.5
    resend_least: int = 100
    volume_factor: float = 10.0
    volume_least: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingSettings:
    """Sources that are being connected: drafts that nobody touches for `keep_days` are deleted with their samples."""

    keep_days: int = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """Where people sign in. `public_url` is written into links when a proxy stands before it.
    `api_per_minute`: requests to the API of one token or person."""

    address: str = "127.0.0.1"
    port: int = 9780
    public_url: str = ""
    api_per_minute: int = 1_200


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """Days that events are kept, and the share of the disk past which deletion starts early.

    Deletion begins at `at` (HH:MM by the city's clocks) and on start. Past `disk_share` drill data go
    first, then what is older than its agency's floor and not held; if nothing may go, receivers push
    back and the alarm goes out. The floor of an agency follows from its system level
    (`config/policies/retention.yml`); `floor_days` is that of one without a recorded level.
    """

    days: int = 365
    floor_days: int = 365
    drill_days: int = 7
    at: str = "03:00"
    disk_share: float = 0.85
    every_minutes: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """The supervisor's health endpoint, and when a role counts as stuck (seconds)."""

    health_address: str = "127.0.0.1"
    health_port: int = 9781
    stuck_after: float = 60.0
    stop_within: float = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmMail:
    """The mail server that alarms go out by; an empty `host` sends none. `password` is a reference. `ca` is
    a file of certificates that the server's is checked with; empty: the system's."""

    host: str = ""
    port: int = 25
    sender: str = ""
    to: tuple[str, ...] = ()
    starttls: bool = False
    ca: str = ""
    user: str = ""
    password: str = ""
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSettings:
    """How alarms of the pipeline itself leave the house."""

    mail: AlarmMail = field(default_factory=AlarmMail)


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorSystem:
    """One outside system that is told of tickets. `url` is its address (mail: ``smtp://host:25``), `place` where
    in it tickets go: queue, project, customer.
    `password`, `token` and `secret` are references. Told are tickets of `agencies` (none: all), of `level` and
    up, of `tlp` at the most; `drills` too, if set. Seconds of one request; deeds a minute at the most."""

    name: str
    kind: Literal["request_tracker", "webhook", "mail", "thehive", "iris", "jira"]
    url: str
    place: str = ""
    language: Literal["vi", "en"] = "vi"
    user: str = ""
    password: str = ""
    token: str = ""
    secret: str = ""
    ca: str = ""
    proxy: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()
    starttls: bool = False
    agencies: tuple[str, ...] = ()
    level: Level = "informational"
    tlp: Literal["clear", "green", "amber", "amber+strict", "red"] = "amber+strict"
    drills: bool = False
    timeout: float = 15.0
    per_minute: int = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorSettings:
    """Outside systems, the hosts that may be spoken to at all, seconds between looks at the outbox and at what
    changed over there, and how often a deed of unknown outcome is tried before it is given up."""

    systems: tuple[MirrorSystem, ...] = ()
    hosts: tuple[str, ...] = ()
    interval: float = 1.0
    changes_every: float = 20.0
    tries: int = 12
    keep_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of them, with the home folder that they belong to."""

    home: Path
    collect: CollectSettings = field(default_factory=CollectSettings)
    state: StateSettings = field(default_factory=StateSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    normalise: NormaliseSettings = field(default_factory=NormaliseSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)
    tickets: TicketSettings = field(default_factory=TicketSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    onboarding: OnboardingSettings = field(default_factory=OnboardingSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    serve: ServeSettings = field(default_factory=ServeSettings)
    alarms: AlarmSettings = field(default_factory=AlarmSettings)
    mirrors: MirrorSettings = field(default_factory=MirrorSettings)

    @property
    def state_url(self) -> str:
        return self.state.url or f"sqlite:///{self.home / 'state.sqlite'}"

    @property
    def additions(self) -> Additions:
        """Where this home's own products and taxonomy lie: under the home, if no whole path is given."""
        given = self.normalise
        return Additions(
            self.home / given.products if given.products else None,
            self.home / given.taxonomy if given.taxonomy else None,
        )

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    @property
    def run(self) -> Path:
        return self.home / "run"
