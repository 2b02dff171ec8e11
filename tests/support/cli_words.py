"""One rule and one event that fires it."""

from __future__ import annotations

RULE = b"""title: A test rule
id: 5f1b2a0e-6f50-4a8b-9f0d-0d9f8a7c1e11
status: test
level: high
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\\\\whoami.exe'}
  condition: selection
"""
EVENT = {
    "EventID": 1,
    "Channel": "Microsoft-Windows-Sysmon/Operational",
    "SourceName": "Microsoft-Windows-Sysmon",
    "Hostname": "PC1",
    "EventTime": "2026-11-24 09:00:00",
    "Image": "C:\\\\Windows\\\\System32\\\\WHOAMI.exe",
}
