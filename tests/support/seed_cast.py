"""Who is there on the seeded morning, and what happens: names are made up."""

from __future__ import annotations

DRAFT, DRAFT_FOREIGN = "d" * 26, "f" * 26
EXCEPTION, EXCEPTION_FOREIGN = (f"e000000{n}-0000-4000-8000-000000000000" for n in (1, 2))
OWN, FOREIGN, DRILL = "so-tai-chinh", "phuong-sai-gon", "dt-phuong-ben-ngoc"
PASSWORD = "đèn tháp sáng suốt đêm"
HOSTILE = "sshd[1]: Failed password for <script>alert(1)</script>\x1b[31m root\u202egpj.exe\x07 from 203.0.113.9"
AGENCIES = (
    (OWN, "Sở Tài chính", "Department of Finance", 4, False),
    (FOREIGN, "Ủy ban nhân dân phường Sài Gòn", "People's Committee of Sài Gòn Ward", 2, False),
    (DRILL, "Ủy ban nhân dân phường Bến Ngọc", "People's Committee of Bến Ngọc Ward", 2, True),
)
PEOPLE = (
    ("an", "Nguyễn Hoài An", "analyst", ()),
    ("binh", "Trần Thanh Bình", "officer", (OWN,)),
    ("kiem", "Lê Minh Kiểm", "auditor", ()),
    ("quan", "Phạm Thu Quân", "administrator", ()),
)
# title, level, product, agency, entity field, entity, minutes ago, events
STORIES = (
    ("Mimikatz Command Line", "critical", "windows", OWN, "host.name", "STC-DC01", 7, 3),
    ("Web Shell Written By Web Server Process", "critical", "windows", DRILL, "host.name", "PBN-WEB01", 2, 2),
    ("Password Spray Against The VPN", "high", "fortinet_fortigate", FOREIGN, "source.ip", "203.0.113.77", 26, 48),
    ("Possible DNS Tunnelling", "high", "bind", OWN, "source.ip", "10.12.4.31", 95, 312),
    ("Failed Logon From Public Address", "medium", "linux_auth", OWN, "source.ip", "203.0.113.9", 130, 5),
    ("Mailbox Forwarding To A Foreign Domain", "medium", "zimbra", FOREIGN, "user.name", "vanthu@psg.example", 310, 1),
    ("Volume Shadow Copies Deleted", "high", "windows", DRILL, "host.name", "PBN-PC07", 44, 1),
    ("Superuser Role Granted In PostgreSQL", "medium", "postgresql", OWN, "user.name", "ketoan", 1500, 2),
)  # fmt: skip
COMMANDS = (
    r'"C:\Tools\m.exe" "privilege::debug" "sekurlsa::logonpasswords" exit',
    r"vssadmin.exe delete shadows /all /quiet",
    r"cmd.exe /c whoami /priv > C:\inetpub\wwwroot\tmp\o.txt",
)
