"""A group that changes its protocol while it works (KIP-848), with confluent-kafka's consumers.

Usage: consumer_groups.py BOOTSTRAP

Three members of the classic protocol are replaced one by one by members of the consumer protocol, those are restarted one
by one, and replaced again by members of the classic protocol. Records are produced all the while. After each step every
partition is with exactly one member; at no time is one with two; and every record is read and its offset committed.
"""

import collections
import sys
import threading
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

PARTITIONS = 12
MEMBERS = 3
PATIENCE = 60

bootstrap = sys.argv[1]
run = uuid.uuid4().hex[:8]
topic, group = f"consumer-groups-{run}", f"consumer-groups-{run}"

owners = collections.defaultdict(set)
read = collections.defaultdict(set)
faults = []
lock = threading.Lock()


class Member(threading.Thread):
    def __init__(self, protocol):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        config = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "group.protocol": protocol,
        }
        if protocol == "classic":
            config |= {"partition.assignment.strategy": "cooperative-sticky", "heartbeat.interval.ms": 500}
        self.consumer = Consumer(config)
        self.start()

    def assigned(self, _, partitions):
        with lock:
            for partition in partitions:
                if owners[partition.partition]:
                    faults.append(f"partition {partition.partition} is with two members")
                owners[partition.partition].add(self)

    def revoked(self, _, partitions):
        with lock:
            for partition in partitions:
                owners[partition.partition].discard(self)

    def run(self):
        try:
            self.consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.revoked)
            while not self.stopping.is_set():
                messages = [m for m in self.consumer.consume(500, timeout=0.1) if not m.error()]
                with lock:
                    for message in messages:
                        read[message.partition()].add(message.offset())
                if messages:
                    self.commit()
            self.consumer.close()
        except Exception as error:  # noqa: BLE001 (whatever it is, the run has failed)
            faults.append(repr(error))

    def commit(self):
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException as error:
            # A rebalance began meanwhile: whoever has the partition next reads these again.
            print("commit refused:", error.args[0].name())

    def stop(self):
        self.stopping.set()
        self.join(PATIENCE)
        if self.is_alive():
            raise SystemExit("a member does not leave")


class Source(threading.Thread):
    """Produces until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopping = threading.Event()
        self.sent = 0
        self.start()

    def run(self):
        producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
        while not self.stopping.is_set():
            for _ in range(20):
                producer.produce(topic, str(self.sent), partition=self.sent % PARTITIONS)
                self.sent += 1
            producer.poll(0.02)
        producer.flush(PATIENCE)


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if faults:
            raise SystemExit(f"{what}: {faults}")
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not in {PATIENCE} s; {[len(owners[p]) for p in range(PARTITIONS)]}")
        time.sleep(0.02)


def is_settled(members):
    with lock:
        having = [owner for partition in range(PARTITIONS) for owner in owners[partition]]
        return len(having) == PARTITIONS and set(having) == set(members) and all(len(owners[p]) == 1 for p in range(PARTITIONS))


def replace_all(members, protocol):
    """Each member in turn goes, and one of `protocol` comes."""
    times = []
    for place, member in enumerate(members):
        began = time.monotonic()
        member.stop()
        members[place] = Member(protocol)
        wait_for(f"member {place} as {protocol}", lambda: is_settled(members))
        times.append(time.monotonic() - began)
    print(f"all are {protocol}; each replaced in", ", ".join(f"{t:.1f} s" for t in times))


def listed():
    """Type and state of the group."""
    groups = admin.list_consumer_groups().result(30).valid
    return next((one.type.name, one.state.name) for one in groups if one.group_id == group)


admin = AdminClient({"bootstrap.servers": bootstrap})
admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
source = Source()
members = [Member("classic") for _ in range(MEMBERS)]
wait_for("classic", lambda: is_settled(members))
replace_all(members, "consumer")
# The members have what they are to have a heartbeat before the coordinator knows it.
wait_for("a stable group", lambda: ("CONSUMER", "STABLE") == listed())
replace_all(members, "consumer")
replace_all(members, "classic")
source.stopping.set()
source.join()
wait_for("every record read", lambda: sum(len(offsets) for offsets in read.values()) == source.sent)
for member in members:
    member.stop()
committed = Consumer({"bootstrap.servers": bootstrap, "group.id": group}).committed(
    [TopicPartition(topic, partition) for partition in range(PARTITIONS)], 30
)
for partition in committed:
    expected = len(read[partition.partition])
    assert partition.offset == expected, f"{partition.partition}: {partition.offset} committed of {expected}"
assert not faults, faults
print(f"{source.sent} records read and committed by {MEMBERS} members that changed their protocol twice")
