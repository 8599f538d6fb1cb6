"""Counts the levels of collected log lines: logs_count.py BOOTSTRAP TOPIC GROUP [LINES]"""

import collections
import re
import sys

from kafka import KafkaConsumer

LEVEL = re.compile(rb"\b(DEBUG|INFO|WARN|ERROR)\b")


def main(bootstrap, topic, group, lines="0"):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", consumer_timeout_ms=5000
    )
    levels = collections.Counter()
    for record in consumer:
        found = LEVEL.search(record.value)
        levels[found.group(1).decode() if found else "other"] += 1
        if sum(levels.values()) == int(lines):
            break
    consumer.close()
    for level, count in sorted(levels.items()):
        print(f"{level} {count}")


if __name__ == "__main__":
    main(*sys.argv[1:])
