"""An authority and certificates of its own, made with openssl: for tests of TLS."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support import needs


@dataclass(frozen=True, slots=True)
class Certificate:
    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        command = [
            "openssl",
            "x509",
            "-in",
            str(self.certificate),
            "-noout",
            "-fingerprint",
            "-sha256",
        ]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return "sha256:" + said.strip().rpartition("=")[2].replace(":", "").lower()


class Authority:
    """`issue` gives a certificate for names; `certificate` is the authority's own."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            needs.missing("openssl", "apt-get install openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.certificate, self._key = folder / "ca.pem", folder / "ca.key"
        _openssl(
            "req",
            "-x509",
            *_NEW,
            "-keyout",
            self._key,
            "-out",
            self.certificate,
            "-subj",
            "/CN=test CA",
        )

    def issue(self, name: str, *names: str) -> Certificate:
        """`names` as openssl writes them, ``DNS:localhost`` say; the name itself is one."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        san = ",".join([f"DNS:{name}", *names])
        _openssl(
            "req", "-x509", *_NEW, "-keyout", made.key, "-out", made.certificate, "-subj", f"/CN={name}",
            "-addext", f"subjectAltName={san}", "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", self.certificate, "-CAkey", self._key,
        )  # fmt: skip
        return made


_NEW = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
