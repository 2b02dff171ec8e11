"""A process that appends under load and says what was acknowledged. Run as a script:

``python spool_load.py ROOT CYCLE SECONDS`` prints ``first records key`` per acknowledged batch; record
bodies are ``cycle-thread-batch-i`` with padding. Errors are printed as ``! kind``.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from pathlib import Path

from collectors.spool import Draft, SpoolLimits, SpoolWriter
from pipeline.model.errors import ServiceAwayError


def main(root: str, cycle: str, seconds: str) -> None:
    writer = SpoolWriter(Path(root), "n1", SpoolLimits(segment_bytes=200_000))
    until = time.monotonic() + float(seconds)
    os.write(1, b"ready\n")

    def work(name: int) -> None:
        chooser = random.Random(f"{cycle}-{name}")
        batch = 0
        while time.monotonic() < until:
            batch += 1
            key = f"{cycle}-{name}-{batch}"
            count = chooser.choice([1, 1, 2, 5, 40])
            drafts = [
                Draft("s", 1, f"{key}-{i} {'x' * chooser.randrange(600)}".encode())
                for i in range(count)
            ]
            try:
                receipt = writer.append(drafts, key.encode().rjust(16, b"0") if name % 2 else b"")
            except ServiceAwayError as error:
                os.write(1, f"! {type(error).__name__}\n".encode())
                time.sleep(0.01)
            else:
                os.write(1, f"{receipt.first} {receipt.records} {key}\n".encode())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
