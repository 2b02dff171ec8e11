"""Who plays: eight agencies that do not exist, what they run, and who works there.

All names are made up and say that they are a drill; addresses are from the documentation ranges
(RFC 5737) and 10.0.0.0/8, domains end in `.example` (RFC 2606). Story lines and all of Windows
travel by HTTP, which acknowledges; noise of a source with a `syslog` transport travels by that,
from the source's own loopback address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Syslog = Literal["", "udp", "tcp"]


@dataclass(frozen=True, slots=True)
class DrillAgency:
    """`net` is the second byte of its 10.x network, `domain` what its host names end in."""

    id: str
    name_vi: str
    name_en: str
    kind: str
    level: int
    net: int
    domain: str


@dataclass(frozen=True, slots=True)
class DrillSource:
    """`host` names the device or server; `share` is its part of the day's noise."""

    id: str
    agency: str
    product: str
    name: str
    host: str
    share: int
    syslog: Syslog = ""
    address: str = ""


AGENCIES: tuple[DrillAgency, ...] = (
    DrillAgency("dt-so-khoa-hoc", "Sở Khoa học và Đổi mới (diễn tập)",
                "Department of Science and Innovation (drill)", "department", 4, 11, "skh.example"),
    DrillAgency("dt-so-ngan-sach", "Sở Ngân sách (diễn tập)",
                "Department of the Budget (drill)", "department", 4, 12, "sns.example"),
    DrillAgency("dt-so-suc-khoe", "Sở Sức khỏe Cộng đồng (diễn tập)",
                "Department of Public Health (drill)", "department", 3, 13, "ssk.example"),
    DrillAgency("dt-so-quy-hoach", "Sở Quy hoạch và Xây dựng (diễn tập)",
                "Department of Planning and Construction (drill)", "department", 3, 14, "sqh.example"),
    DrillAgency("dt-phuong-ben-ngoc", "Ủy ban nhân dân phường Bến Ngọc (diễn tập)",
                "People's Committee of Bến Ngọc Ward (drill)", "ward", 2, 21, "benngoc.example"),
    DrillAgency("dt-phuong-tan-cau", "Ủy ban nhân dân phường Tân Cầu (diễn tập)",
                "People's Committee of Tân Cầu Ward (drill)", "ward", 2, 22, "tancau.example"),
    DrillAgency("dt-xa-vinh-hoa-tay", "Ủy ban nhân dân xã Vĩnh Hòa Tây (diễn tập)",
                "People's Committee of Vĩnh Hòa Tây Commune (drill)", "commune", 2, 31, "vinhhoatay.example"),
    DrillAgency("dt-cty-cap-nuoc", "Công ty Cấp nước Sài Đông (diễn tập)",
                "Sài Đông Water Supply Company (drill)", "company", 3, 41, "capnuocsd.example"),
)  # fmt: skip

_PLAN: tuple[tuple[str, str, str, int, Syslog], ...] = (
    ("dt-so-khoa-hoc", "fortinet_fortigate", "SKH-FG-01", 14, "udp"),
    ("dt-so-khoa-hoc", "windows", "SKH-DC01", 10, ""),
    ("dt-so-khoa-hoc", "nginx", "skh-web01", 7, ""),
    ("dt-so-khoa-hoc", "linux_auth", "skh-app01", 3, "tcp"),
    ("dt-so-ngan-sach", "fortinet_fortigate", "SNS-FG-01", 8, "udp"),
    ("dt-so-ngan-sach", "postgresql", "sns-db01", 4, ""),
    ("dt-so-ngan-sach", "linux_auth", "sns-db01", 2, "tcp"),
    ("dt-so-suc-khoe", "nginx", "ssk-web01", 10, ""),
    ("dt-so-suc-khoe", "windows", "SSK-WEB01", 6, ""),
    ("dt-so-suc-khoe", "squid", "ssk-proxy01", 5, ""),
    ("dt-so-quy-hoach", "openvpn", "sqh-vpn01", 2, "tcp"),
    ("dt-so-quy-hoach", "zimbra", "sqh-mail01", 5, ""),
    ("dt-so-quy-hoach", "postfix", "sqh-mail01", 4, "tcp"),
    ("dt-phuong-ben-ngoc", "windows", "PBN-PC07", 8, ""),
    ("dt-phuong-ben-ngoc", "squid", "pbn-proxy01", 4, ""),
    ("dt-phuong-tan-cau", "windows", "PTC-PC03", 6, ""),
    ("dt-phuong-tan-cau", "bind", "ptc-dns01", 5, "tcp"),
    ("dt-xa-vinh-hoa-tay", "cisco_asa", "VHT-ASA-01", 5, "udp"),
    ("dt-xa-vinh-hoa-tay", "bind", "vht-dns01", 3, "tcp"),
    ("dt-cty-cap-nuoc", "cisco_asa", "CNSD-ASA-01", 5, "udp"),
    ("dt-cty-cap-nuoc", "openvpn", "cnsd-vpn01", 2, "tcp"),
    ("dt-cty-cap-nuoc", "postfix", "cnsd-mail01", 3, "tcp"),
    ("dt-cty-cap-nuoc", "postgresql", "cnsd-db01", 2, ""),
)

SOURCES: tuple[DrillSource, ...] = tuple(
    DrillSource(
        id=f"{agency}.{product}",
        agency=agency,
        product=product,
        name=f"{product} trên {host} (diễn tập)",
        host=host,
        share=share,
        syslog=syslog,
        address=f"127.0.0.{20 + place}" if syslog else "",
    )
    for place, (agency, product, host, share, syslog) in enumerate(_PLAN)
)

AGENCY: dict[str, DrillAgency] = {agency.id: agency for agency in AGENCIES}
SOURCE: dict[str, DrillSource] = {source.id: source for source in SOURCES}

PEOPLE: tuple[str, ...] = (
    "an.nguyen", "binh.tran", "chau.le", "dung.pham", "em.vo", "giang.dang", "hanh.bui", "hung.do",
    "khanh.ho", "lan.ngo", "linh.duong", "long.ly", "mai.truong", "minh.dinh", "nam.lam", "nga.mai",
    "ngoc.cao", "nhung.ta", "phong.luu", "phuc.vu", "quan.chau", "quynh.kieu", "son.thai", "tam.ton",
    "thao.huynh", "thanh.quach", "thuy.phan", "tien.luong", "trang.hoang", "tri.la", "tuan.mac",
    "uyen.trinh", "van.doan", "viet.to", "vinh.tang", "vy.giap", "xuan.nghiem", "yen.khuc",
)  # fmt: skip

HOME_ADDRESSES = "198.51.100."
"""Where staff come from when they are at home: a city provider, in the country table Vietnam."""

FAR_ADDRESSES = "203.0.113."
"""Where the attackers come from: abroad in the country table."""

OUTSIDE_ADDRESSES = "192.0.2."
"""Everybody else out there: sites, mail servers, citizens."""


TRAVELLER = "hung.do"
"""Whose account the VPN story takes: noise leaves this name alone at the VPN, so that no chance login
joins the story."""

CALLERS: tuple[str, ...] = tuple(person for person in PEOPLE if person != TRAVELLER)


def home(source: DrillSource, person: str) -> str:
    """Where a person of the source's agency calls from: another address for each agency."""
    block = list(AGENCY).index(source.agency) * 32
    return f"{HOME_ADDRESSES}{block + PEOPLE.index(person) % 30 + 1}"


def inside(source: DrillSource, third: int, fourth: int) -> str:
    """An address of the source's agency."""
    return f"10.{AGENCY[source.agency].net}.{third}.{fourth}"
