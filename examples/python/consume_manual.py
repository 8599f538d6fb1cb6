"""Reads a topic and commits what it has processed: consume_manual.py BOOTSTRAP TOPIC GROUP [COUNT]

Stops after COUNT records, or after five quiet seconds. Started again, it goes on where it had committed.
"""

import sys

from kafka import KafkaConsumer


def main(bootstrap, topic, group, count="0"):
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        consumer_timeout_ms=5000,
    )
    seen = 0
    for record in consumer:
        print(f"{record.partition}/{record.offset}: {record.value.decode()}")
        seen += 1
        if seen % 100 == 0 or seen == int(count):
            consumer.commit()
        if seen == int(count):
            break
    consumer.commit()
    consumer.close()
    print(f"processed {seen} records", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
