"""Sends a thousand keyed records and waits for all of them: send_batch.py BOOTSTRAP TOPIC [COUNT]"""

import sys

from kafka import KafkaProducer


def main(bootstrap, topic, count="1000"):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=20, compression_type="gzip")
    futures = [
        producer.send(topic, key=f"sensor-{index % 10}".encode(), value=f"reading {index}".encode())
        for index in range(int(count))
    ]
    producer.flush(timeout=30)
    partitions = {future.get(timeout=1).partition for future in futures}
    print(f"{len(futures)} records are in {len(partitions)} partitions; those of one sensor are in one of them, in order")
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
