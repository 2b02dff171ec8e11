"""A PC in a ward talks to its master through the ward's own name server (T1071.004, T1048).

From 00:40: half an hour of questions whose names carry 56 hexadecimal characters a label, for TXT
and NULL records of one domain.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from pipeline.rehearsal.lines import Draft, Trip
from pipeline.rehearsal.stories import rule_ids as rules
from pipeline.rehearsal.stories.base import Tale
from pipeline.rehearsal.wire import bind

SOURCE = "dt-phuong-tan-cau.bind"
CLIENT, SERVER, HOST = "10.22.3.88", "10.22.0.53", "ptc-dns01"
DOMAIN = "kenh-ngam.example"


def tell(start: datetime, rng: Random) -> list[Draft]:
    tale = Tale("dns_tunnel", start)
    tale.begin(0, 40)
    for number in range(90):
        label = f"{rng.getrandbits(224):056x}"
        kind = "NULL" if number % 3 == 0 else "TXT"
        name = f"{label}.{number:04x}.{DOMAIN}"
        tale.wait(rng.uniform(5, 35))
        tale.tell(
            SOURCE, bind.query(tale.at, rng, HOST, CLIENT, SERVER, name, kind),
            Trip(rules.BIND_LONG_LABEL, CLIENT),
        )  # fmt: skip
    return tale.drafts
