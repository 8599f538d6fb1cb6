"""An order pipeline: orders go in keyed by customer, two consumers share the work: orders.py BOOTSTRAP TOPIC [COUNT]

Both consumers are in one group, so each order is handled by one of them, and the orders of a customer always by the
same one, in order.
"""

import collections
import json
import sys
import threading
import time

from kafka import KafkaConsumer, KafkaProducer


def produce(bootstrap, topic, count):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap, acks="all", key_serializer=str.encode, value_serializer=lambda v: json.dumps(v).encode()
    )
    for number in range(count):
        customer = f"customer-{number % 7}"
        producer.send(topic, key=customer, value={"order": number, "customer": customer, "cents": 100 + number})
    producer.flush(timeout=30)
    producer.close()


def work(name, bootstrap, topic, group, orders, done):
    consumer = KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", value_deserializer=json.loads
    )
    while not done.is_set():
        for records in consumer.poll(timeout_ms=200).values():
            for record in records:
                orders.append((name, record.value))
    consumer.close()


def main(bootstrap, topic, count="500"):
    count, group = int(count), f"{topic}-workers-{int(time.time())}"
    orders, done = [], threading.Event()
    workers = [
        threading.Thread(target=work, args=(name, bootstrap, topic, group, orders, done)) for name in ("left", "right")
    ]
    for worker in workers:
        worker.start()
    produce(bootstrap, topic, count)
    deadline = time.monotonic() + 30
    while len(orders) < count and time.monotonic() < deadline:
        time.sleep(0.05)
    done.set()
    for worker in workers:
        worker.join()

    by_customer = collections.defaultdict(list)
    for _, order in orders:
        by_customer[order["customer"]].append(order["order"])
    assert len(orders) == count, f"{len(orders)} orders came back of {count}"
    assert all(numbers == sorted(numbers) for numbers in by_customer.values()), "a customer's orders are out of order"
    shares = collections.Counter(name for name, _ in orders)
    total = sum(order["cents"] for _, order in orders)
    print(f"{count} orders of {len(by_customer)} customers, {total / 100:.2f} in all, handled by {dict(shares)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
