"""Copies a topic exactly once with a worker that is killed again and again (KIP-98, KIP-447).

Usage: exactly_once.py BOOTSTRAP [KILLS]     (exactly_once.py work BOOTSTRAP … is the worker)

The worker consumes, produces and commits its offsets in one transaction at a time; the parent kills it with SIGKILL
mid-way and starts it anew. A reader of committed records must then find each input once, those of a partition in order,
and a worker that lives on while another one has taken over its transactional id must be told so.
"""

import collections
import os
import random
import signal
import subprocess
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 3
RECORDS = 30_000


def producer(bootstrap, transactional_id):
    made = Producer(
        {"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "linger.ms": 1, "retry.backoff.ms": 20,
         "reconnect.backoff.max.ms": 200, "transaction.timeout.ms": 20_000}
    )
    made.init_transactions(30)
    return made


def work(bootstrap, source, target, transactional_id):
    """The worker: lives until it is killed, or nothing has come for a while."""
    out = producer(bootstrap, transactional_id)
    # A static member is itself again after a restart, so that its partitions need not wait for a session to end.
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": f"{target}-copy", "group.instance.id": transactional_id,
         "enable.auto.commit": False, "auto.offset.reset": "earliest", "isolation.level": "read_committed",
         "session.timeout.ms": 10_000}
    )
    consumer.subscribe([source])
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 8:
        messages = [m for m in consumer.consume(100, 0.5) if not m.error()]
        if not messages:
            continue
        quiet_since = time.monotonic()
        out.begin_transaction()
        for message in messages:
            out.produce(target, message.value(), message.key(), partition=message.partition())
        offsets = consumer.position(consumer.assignment())
        out.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        out.commit_transaction(30)
        print(len(messages), flush=True)


def fill(bootstrap, topics):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics([NewTopic(topic, PARTITIONS) for topic in topics]).values():
        future.result(30)
    out = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5})
    for number in range(RECORDS):
        out.produce(topics[0], str(number), partition=number % PARTITIONS)
        out.poll(0)
    if out.flush(60):
        sys.exit("the input was not acked")


def fence(bootstrap, topic):
    """Two instances of one transactional id: the older one must not get anything committed."""
    name = f"zombie-{uuid.uuid4()}"
    zombie = producer(bootstrap, name)
    zombie.begin_transaction()
    zombie.produce(topic, b"zombie", partition=0)
    zombie.flush(10)
    heir = producer(bootstrap, name)
    try:
        zombie.commit_transaction(30)
        sys.exit("the zombie committed")
    except KafkaException as refused:
        code = refused.args[0].code()
        if code not in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED):
            sys.exit(f"the zombie was told {refused}")
    heir.begin_transaction()
    heir.produce(topic, b"aborted", partition=0)
    heir.flush(10)
    heir.abort_transaction(30)


def committed(bootstrap, topic):
    """Every committed value, by partition, up to the end."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap, "group.id": str(uuid.uuid4()), "enable.auto.commit": False,
         "isolation.level": "read_committed", "enable.partition.eof": True, "auto.offset.reset": "earliest"}
    )
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    found, ended = collections.defaultdict(list), set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(30)
        if message is None:
            sys.exit("the copy cannot be read to its end: a transaction is open")
        if message.error():
            if message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            continue
        found[message.partition()].append(message.value())
    consumer.close()
    return found


def main(bootstrap, kills="50"):
    run = uuid.uuid4().hex[:8]
    topics = [f"eos-{run}-in", f"eos-{run}-out"]
    fill(bootstrap, topics)
    dice = random.Random(1)
    killed = 0
    while True:
        worker = subprocess.Popen(
            [sys.executable, __file__, "work", bootstrap, *topics, f"copy-{run}"], stdout=subprocess.PIPE, text=True
        )
        if killed < int(kills):
            # In the middle of its work: after some transactions, not after some time.
            for _ in range(dice.randint(1, 4)):
                if not worker.stdout.readline():
                    sys.exit(f"the worker ended by itself after {killed} kills")
            time.sleep(dice.uniform(0, 0.03))
            os.kill(worker.pid, signal.SIGKILL)
            killed += worker.wait() == -signal.SIGKILL
            continue
        copied = sum(int(line) for line in worker.stdout)
        if worker.wait() != 0:
            sys.exit("the last worker failed")
        break
    fence(bootstrap, topics[1])
    found = committed(bootstrap, topics[1])
    for partition in range(PARTITIONS):
        wanted = [str(number).encode() for number in range(partition, RECORDS, PARTITIONS)]
        if found[partition] != wanted:
            counts = collections.Counter(found[partition])
            twice = [value for value, count in counts.items() if count > 1]
            missing = [value for value in wanted if value not in counts]
            sys.exit(f"partition {partition}: {len(twice)} twice, {len(missing)} missing: {twice[:5]} {missing[:5]}")
    print(f"{RECORDS} records copied exactly once by a worker killed {killed} times, the last one copied {copied}")
    print("1 passed, 0 failed")


if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
