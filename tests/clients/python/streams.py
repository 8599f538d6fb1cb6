"""A Kafka Streams word count that is killed in the midst again and again, and what its counts are in the end.

Usage: streams.py BOOTSTRAP CLASSPATH [KILLS]

Streams makes its repartition and changelog topics itself, restores its stores from the changelog (every other kill takes
the directory of its state too) and purges what it has repartitioned. With exactly_once_v2 every count must be the
input's; with at_least_once none may be less, and what was counted twice is told.
"""

import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

PARTITIONS = 3
LINES = 12_000
WORDS_A_LINE = 5
VOCABULARY = [f"word{number}" for number in range(500)]


def fill(bootstrap, topic):
    """Sends the lines and returns how often each word is in them."""
    dice, counts = random.Random(7), collections.Counter()
    out = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
    for number in range(LINES):
        words = dice.choices(VOCABULARY, k=WORDS_A_LINE)
        counts.update(words)
        out.produce(topic, " ".join(words), partition=number % PARTITIONS)
        out.poll(0)
    if out.flush(60):
        sys.exit("the input was not acked")
    return counts


class Application:
    """The word count: one process at a time."""

    def __init__(self, bootstrap, classpath, name, guarantee, state, source, target):
        self.command = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", classpath, "WordCount",
                        bootstrap, name, guarantee, state, source, target]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def kill_after(self, lines):
        """Kills the process with SIGKILL once it has told its progress so many times."""
        for _ in range(lines):
            if not self.process.stdout.readline():
                sys.exit("the application ended by itself before all was counted")
        os.kill(self.process.pid, signal.SIGKILL)
        if self.process.wait() != -signal.SIGKILL:
            sys.exit("the application ended before it was killed")

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.read()
        if self.process.wait(60) != 0:
            sys.exit(f"the application ended with {self.process.returncode}")


def follow(bootstrap, topic, wanted, limit=90):
    """Reads committed counts until each word's has come up to what is wanted."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "enable.auto.commit": False,
         "isolation.level": "read_committed", "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    counts, deadline = {}, time.monotonic() + limit
    behind = set(wanted)
    while behind:
        if time.monotonic() > deadline:
            sys.exit(f"{len(behind)} of {len(wanted)} words have not come up to the input's count within {limit} s")
        for message in consumer.consume(5000, 0.5):
            if message.error():
                sys.exit(f"the counts cannot be read: {message.error()}")
            word = message.key().decode()
            counts[word] = int.from_bytes(message.value(), "big")
            if counts[word] >= wanted[word]:
                behind.discard(word)
            else:
                behind.add(word)
    consumer.close()
    return counts


def to_end(bootstrap, topic, limit=30):
    """The last committed count of each word."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "enable.auto.commit": False,
         "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    counts, ended = {}, set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(limit)
        if message is None:
            sys.exit("the counts cannot be read to their end: a transaction is open")
        if message.error():
            if message.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(f"the counts cannot be read: {message.error()}")
            ended.add(message.partition())
        else:
            counts[message.key().decode()] = int.from_bytes(message.value(), "big")
    consumer.close()
    return counts


def internal_topics(admin, name):
    """The topics Streams made: the changelog is compacted, what was repartitioned is purged and kept from retention."""
    changelog, repartition = f"{name}-counts-changelog", f"{name}-words-repartition"
    wanted = {changelog: {"cleanup.policy": "compact"}, repartition: {"cleanup.policy": "delete", "retention.ms": "-1"}}
    resources = {ConfigResource(ConfigResource.Type.TOPIC, topic): topic for topic in wanted}
    for resource, future in admin.describe_configs(list(resources)).items():
        entries = future.result(30)
        for key, value in wanted[resources[resource]].items():
            if entries[key].value != value:
                sys.exit(f"{key} of {resources[resource]} is {entries[key].value}, not {value}")
    partitions = [TopicPartition(repartition, partition) for partition in range(PARTITIONS)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        starts = admin.list_offsets({partition: OffsetSpec.earliest() for partition in partitions}).values()
        purged = sum(start.result(30).offset for start in starts)
        if purged > 0:
            return purged
        time.sleep(0.2)
    sys.exit("nothing of what was repartitioned has been purged within a minute")


def run(bootstrap, classpath, guarantee, kills):
    name = f"streams-{guarantee.replace('_', '-')}-{uuid.uuid4().hex[:6]}"
    source, target = f"{name}-in", f"{name}-out"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS) for topic in (source, target)]).values():
        future.result(30)
    wanted = fill(bootstrap, source)
    dice = random.Random(1)
    with tempfile.TemporaryDirectory() as state:
        application = Application(bootstrap, classpath, name, guarantee, state, source, target)
        for kill in range(kills):
            application.kill_after(dice.randint(1, 6))
            if kill % 2:
                shutil.rmtree(state)
                os.mkdir(state)
            application.start()
        follow(bootstrap, target, wanted)
        purged = internal_topics(admin, name)
        application.stop()
    found = to_end(bootstrap, target)
    words, more = sum(wanted.values()), sum(found.values()) - sum(wanted.values())
    less = [word for word in wanted if found.get(word, 0) < wanted[word]]
    if less or set(found) - set(wanted):
        sys.exit(f"{guarantee}: {len(less)} words were counted too rarely, such as {less[:5]}")
    if guarantee == "exactly_once_v2" and more:
        wrong = [(word, wanted[word], found[word]) for word in wanted if found[word] != wanted[word]]
        sys.exit(f"{guarantee}: {len(wrong)} words were counted too often, such as {wrong[:5]}")
    print(f"{guarantee}: {words} words counted, {more} of them twice, killed {kills} times; {purged} purged", flush=True)


def main(bootstrap, classpath, kills="4"):
    for guarantee in ("exactly_once_v2", "at_least_once"):
        run(bootstrap, classpath, guarantee, int(kills))
    print("2 passed, 0 failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
