"""Kills the broker with SIGKILL while the flights go in, and looks for every acked row afterwards.

Usage: kill_midway.py BOOTSTRAP TOPIC 'COMMAND THAT PRINTS THE PID OF THE BROKER' [KILLS]

The producer is idempotent and waits for acks=all, so what comes back must be every acked row once, in order per key.
"""

import os
import signal
import subprocess
import sys
import threading

from confluent_kafka import Producer

import flights


def main(bootstrap, topic, pid_command, kills="2"):
    pairs = flights.rows(0)
    acked, lock = {}, threading.Lock()

    def delivered(index):
        def callback(error, message):
            if error is None:
                with lock:
                    acked[index] = (message.partition(), message.offset())

        return callback

    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 5, "retry.backoff.ms": 20,
         "reconnect.backoff.max.ms": 200, "queue.buffering.max.messages": 20000}
    )
    moments = [len(pairs) * (kill + 1) // (int(kills) + 1) for kill in range(int(kills))]
    killed = []
    for index, (key, value) in enumerate(pairs):
        if index in moments:
            pid = int(subprocess.run(pid_command, shell=True, capture_output=True, text=True, check=True).stdout)
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            print(f"killed process {pid} after {len(acked)} acks", flush=True)
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=delivered(index))
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    producer.flush(60)
    if len(set(killed)) != int(kills):
        sys.exit(f"the same process was killed twice: {killed}: the fault did not take effect")
    if len(acked) != len(pairs):
        sys.exit(f"only {len(acked)} of {len(pairs)} rows were acked within the time")
    collected = flights.consume("confluent", bootstrap, topic, len(pairs))
    wrong = flights.check(pairs, collected)
    lost = [index for index, place in acked.items() if collected.records.get(place) != pairs[index]]
    if wrong or lost:
        sys.exit(f"{len(lost)} acked rows are not where they were acked; {wrong}")
    print(f"{len(pairs)} rows acked, all of them read at the offset of their ack, {len(killed)} kills")
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
