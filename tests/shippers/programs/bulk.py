"""elasticsearch-py's `helpers.bulk`, as an agency's script would use it: a part that fails is sent again.

``bulk.py URL ID SECRET COUNT PART [gzip]`` prints the last number of each part that was acknowledged.
"""

from __future__ import annotations

import sys
import time

import elasticsearch
from elasticsearch import Elasticsearch, helpers


def main(url: str, key: str, secret: str, count: str, part: str, *more: str) -> None:
    client = Elasticsearch([url], api_key=(key, secret), http_compress="gzip" in more)
    failures = (
        elasticsearch.TransportError,
        getattr(elasticsearch, "ApiError", OSError),
    )  # 7: one kind
    for first in range(0, int(count), int(part)):
        numbers = range(first, first + int(part))
        while True:
            try:
                made, _ = helpers.bulk(
                    client, ({"_index": "app", "message": f"number {n}"} for n in numbers)
                )
            except failures as error:
                sys.stderr.write(f"{type(error).__name__}\n")
                time.sleep(0.2)
                continue
            assert made == len(numbers), made
            print(numbers[-1], flush=True)
            break


if __name__ == "__main__":
    main(*sys.argv[1:])
