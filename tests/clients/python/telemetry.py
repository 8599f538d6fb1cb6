"""Metrics that clients tell (KIP-714): a subscription made by Kafka's tool, pushes by librdkafka and by Kafka's Java client,
and what of them reaches a collector.

Usage: telemetry.py BOOTSTRAP CLASSPATH PUSHES_FILE

The broker must send metrics to `collector.py`, which writes PUSHES_FILE.
"""

import json
import pathlib
import subprocess
import sys
import time
import uuid

from confluent_kafka import Producer

TOOLS = "org.apache.kafka.tools"
DEADLINE = 30
RUN = uuid.uuid4().hex[:8]
SUBSCRIPTION = f"telemetry-{RUN}"
TOPIC = f"telemetry-{RUN}"
PREFIX = "org.apache.kafka.producer."
LABELS = ["client_instance_id", "client_id", "client_software_name", "client_software_version"] + [
    "client_source_address",
    "client_source_port",
    "broker_id",
]


def program(classpath, main, *arguments):
    """The command of one of Kafka's programs."""
    return ["java", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", "-cp", classpath, f"{TOOLS}.{main}", *arguments]


def java(classpath, main, *arguments):
    """What one of Kafka's programs prints."""
    ran = subprocess.run(program(classpath, main, *arguments), capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, f"{main}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def pushed(file, client_id):
    """The pushes of that client so far."""
    lines = pathlib.Path(file).read_text().splitlines() if pathlib.Path(file).exists() else []
    return [push for push in map(json.loads, lines) if push["attributes"].get("client_id") == client_id]


def wait_for_push(file, client_id, software, meanwhile=lambda: None):
    """Waits until the client has told something, and checks what."""
    deadline = time.monotonic() + DEADLINE
    while not (pushes := [push for push in pushed(file, client_id) if push["metrics"]]):
        assert time.monotonic() < deadline, f"{client_id} has pushed nothing"
        meanwhile()
        time.sleep(0.05)
    for push in pushes:
        missing = [label for label in LABELS if not push["attributes"].get(label)]
        assert not missing, f"no {missing} in {push}"
        assert push["attributes"]["client_software_name"] == software, push
        strange = [name for name in push["metrics"] if not name.startswith(PREFIX)]
        assert not strange, f"nobody has asked for {strange}"


def subscriptions(bootstrap, classpath, *arguments):
    return java(classpath, "ClientMetricsCommand", "--bootstrap-server", bootstrap, *arguments)


def librdkafka(bootstrap, classpath, file):
    client_id = f"librdkafka-{RUN}"
    producer = Producer({"bootstrap.servers": bootstrap, "client.id": client_id, "enable.metrics.push": True})

    def work():
        producer.produce(TOPIC, b"value")
        producer.poll(0)

    wait_for_push(file, client_id, "confluent-kafka-python", work)
    producer.flush(10)


def java_client(bootstrap, classpath, file):
    client_id = f"java-{RUN}"
    arguments = ["--bootstrap-server", bootstrap, "--topic", TOPIC, "--producer-property", f"client.id={client_id}"]
    command = program(classpath, "ConsoleProducer", *arguments)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as producer:
        # It is there until it has pushed: one that is closed before it has been told what to push says nothing.
        wait_for_push(file, client_id, "apache-kafka-java", lambda: print("value", file=producer.stdin, flush=True))
        producer.stdin.close()
        assert producer.wait(60) == 0, f"the producer ended with {producer.returncode}"


def unasked(bootstrap, classpath, file):
    producer = Producer({"bootstrap.servers": bootstrap, "client.id": "stranger"})
    producer.produce(TOPIC, b"value")
    producer.flush(10)
    other = Producer({"bootstrap.servers": bootstrap, "client.id": f"last-{RUN}"})
    wait_for_push(file, f"last-{RUN}", "confluent-kafka-python", lambda: other.produce(TOPIC, b"value") or other.poll(0))
    assert not [push for push in pushed(file, "stranger") if push["metrics"]]


SCENARIOS = {
    "librdkafka pushes what is wanted": librdkafka,
    "the Java client pushes what is wanted": java_client,
    "who is not meant pushes nothing": unasked,
}


def main(bootstrap, classpath, file):
    wanted = ["--metrics", PREFIX, "--interval", "200", "--match", f"client_id=.*-{RUN}"]
    subscriptions(bootstrap, classpath, "--alter", "--name", SUBSCRIPTION, *wanted)
    failed = 0
    for name, scenario in SCENARIOS.items():
        began = time.monotonic()
        try:
            scenario(bootstrap, classpath, file)
            print(f"ok   {name} ({(time.monotonic() - began) * 1000:.0f} ms)", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAIL {name}: {error}", flush=True)
    subscriptions(bootstrap, classpath, "--delete", "--name", SUBSCRIPTION)
    print(f"{len(SCENARIOS) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
