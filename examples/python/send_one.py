"""Sends one record and says where it went: send_one.py BOOTSTRAP TOPIC [TEXT]"""

import sys

from kafka import KafkaProducer


def main(bootstrap, topic, text="hello"):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = producer.send(topic, text.encode()).get(timeout=10)
    print(f"{text!r} is record {sent.offset} of partition {sent.partition} of {sent.topic}")
    producer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
