"""Reads a topic; the client commits in the background: consume_auto.py BOOTSTRAP TOPIC GROUP [COUNT]"""

import sys

from kafka import KafkaConsumer


def main(bootstrap, topic, group, count="0"):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=True,
        auto_commit_interval_ms=1000,
        auto_offset_reset="earliest",
        consumer_timeout_ms=5000,
    )
    seen = 0
    for record in consumer:
        print(f"{record.partition}/{record.offset}: {record.value.decode()}")
        seen += 1
        if seen == int(count):
            break
    consumer.close()
    print(f"read {seen} records", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
