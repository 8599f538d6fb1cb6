"""Follows a file into a topic, like a log collector: logs_collect.py BOOTSTRAP TOPIC FILE [LINES]

Stops after LINES lines, or never.
"""

import sys
import time

from kafka import KafkaProducer


def follow(path):
    with open(path, "rb") as file:
        partial = b""
        while True:
            partial += file.readline()
            if partial.endswith(b"\n"):
                yield partial.rstrip(b"\n")
                partial = b""
            else:
                time.sleep(0.05)


def main(bootstrap, topic, path, lines="0"):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=50, compression_type="gzip")
    sent = 0
    for line in follow(path):
        producer.send(topic, line, headers=[("file", path.encode())])
        sent += 1
        if sent == int(lines):
            break
    producer.flush(timeout=30)
    producer.close()
    print(f"collected {sent} lines of {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
