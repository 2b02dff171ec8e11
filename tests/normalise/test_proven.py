"""Sixteen products are proven: five samples of five message kinds each from a vendor's document or a real run.

A message kind is told by the event that the sample must become: its dataset, category, type, action and outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from collectors.formats.windows_snare import MARK
from pipeline.normalise.product import Product, load_products
from pipeline.normalise.spec import SampleSpec

PRODUCTS = load_products()
LEAST: Final = 5
PROVEN: Final = (
    "apache", "auditd", "bind", "cisco_asa", "fortinet_fortigate", "iis", "linux_auth", "nginx", "openvpn",
    "paloalto_panos", "postfix", "postgresql", "squid", "suricata", "windows", "zeek",
)  # fmt: skip
CHANNELS: Final = {
    "Application": "application",
    "AppLocker": "microsoft-windows-applocker/exe and dll",
    "BITS": "microsoft-windows-bits-client/operational",
    "Defender": "microsoft-windows-windows defender/operational",
    "DNS client": "microsoft-windows-dns-client/operational",
    "PowerShell": "microsoft-windows-powershell/operational",
    "Security": "security",
    "Sysmon": "microsoft-windows-sysmon/operational",
    "System": "system",
    "TaskScheduler": "microsoft-windows-taskscheduler/operational",
    "Terminal Services": "microsoft-windows-terminalservices-localsessionmanager/operational",
    "WMI": "microsoft-windows-wmi-activity/operational",
}
CARRIERS: Final = {  # what only that carrier writes into a record
    "EVTX": '{"Event":',
    "NXLog": '"SourceName"',
    "Snare": MARK,
    "Winlogbeat": '"winlog"',
    "XML": "<Event ",
}
_KIND: Final = ("event.dataset", "event.category", "event.type", "event.action", "event.outcome")


def real(product: Product) -> Iterator[SampleSpec]:
    """Samples that stand in a document or come from a real run, and became an event."""
    for sample in product.samples:
        tags = sample.expected.get("tags") or []
        if sample.origin != "constructed" and sample.expected and "_parse_failure" not in tags:
            yield sample


def kind(sample: SampleSpec) -> str:
    return " ".join(str(sample.expected.get(name, "-")) for name in _KIND)


@pytest.mark.parametrize("name", PROVEN)
def test_a_proven_product_has_five_real_samples_of_different_kinds(name: str) -> None:
    samples = list(real(PRODUCTS[name]))
    kinds = sorted({kind(sample) for sample in samples})
    assert len(samples) >= LEAST, f"{name} has {len(samples)} real samples of {LEAST}"
    assert len(kinds) >= LEAST, f"{name} has {len(kinds)} kinds of {LEAST}: {kinds}"


@pytest.mark.parametrize("channel", sorted(CHANNELS))
def test_each_named_channel_of_windows_has_a_real_sample(channel: str) -> None:
    seen = {
        str(one.expected.get("winlog.channel", "")).casefold() for one in real(PRODUCTS["windows"])
    }
    assert CHANNELS[channel] in seen, f"no real sample of {channel}"


@pytest.mark.parametrize("carrier", sorted(CARRIERS))
def test_each_carrier_of_windows_events_has_a_sample(carrier: str) -> None:
    read = [one for one in PRODUCTS["windows"].samples if one.expected.get("event.code")]
    assert any(CARRIERS[carrier] in one.raw for one in read), f"no sample by {carrier}"


def test_a_product_of_constructed_samples_alone_is_unproven() -> None:
    """What the list of products shows is what the samples say."""
    shown = {name: product.proven for name, product in PRODUCTS.items()}
    said = {
        name: any(one.origin != "constructed" for one in product.samples)
        for name, product in PRODUCTS.items()
    }
    assert shown == said
