"""Creates the topics that flights.py uses, where no KafkaTopic resources do: create_topics.py BOOTSTRAP"""

import sys

from confluent_kafka.admin import AdminClient, NewTopic

CLIENTS = ["kcat", "confluent", "kafka-python", "aiokafka"]
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]

admin = AdminClient({"bootstrap.servers": sys.argv[1]})
topics = [NewTopic(f"flights-{client}-{codec}", 3, 1) for client in CLIENTS for codec in CODECS]
for topic, future in admin.create_topics(topics).items():
    future.result()
