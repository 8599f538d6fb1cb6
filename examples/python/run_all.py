"""Runs every program here as a person would and checks what it printed: run_all.py BOOTSTRAP"""

import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent


def run(program, *arguments):
    command = [sys.executable, HERE / program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    if done.returncode:
        raise AssertionError(f"{program} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout + done.stderr


def check_send_one(bootstrap, name):
    first = run("send_one.py", bootstrap, f"{name}-one", "hello")
    second = run("send_one.py", bootstrap, f"{name}-one", "again")
    assert "record 0 of" in first and "record 1 of" in second, first + second


def check_batch_and_consumers(bootstrap, name):
    topic = f"{name}-batch"
    assert "1000 records are in" in run("send_batch.py", bootstrap, topic, 1000)
    first = run("consume_manual.py", bootstrap, topic, f"{name}-manual", 400)
    assert "processed 400 records" in first, first[-500:]
    rest = run("consume_manual.py", bootstrap, topic, f"{name}-manual", 600)
    assert "processed 600 records" in rest, rest[-500:]
    both = re.findall(r"^(\d+/\d+):", first + rest, re.MULTILINE)
    assert len(both) == len(set(both)) == 1000, "a committed record was read again, or one was left out"
    assert "read 1000 records" in run("consume_auto.py", bootstrap, topic, f"{name}-auto", 1000)


def check_orders(bootstrap, name):
    assert "500 orders of 7 customers" in run("orders.py", bootstrap, f"{name}-orders", 500)


def check_logs(bootstrap, name):
    with tempfile.NamedTemporaryFile("w", suffix=".log") as log:

        def write():
            for number in range(300):
                log.write(f"2026-01-01 {['INFO', 'WARN', 'ERROR'][number % 3]} line {number}\n")
                if number % 50 == 0:
                    log.flush()
                    time.sleep(0.02)
            log.flush()

        writer = threading.Thread(target=write)
        writer.start()
        collected = run("logs_collect.py", bootstrap, f"{name}-logs", log.name, 300)
        writer.join()
    assert "collected 300 lines" in collected, collected
    counted = run("logs_count.py", bootstrap, f"{name}-logs", f"{name}-count", 300)
    assert counted.split() == ["ERROR", "100", "INFO", "100", "WARN", "100"], counted


def main(bootstrap):
    name, passed, failed = f"first-{int(time.time())}", 0, 0
    for check in (check_send_one, check_batch_and_consumers, check_orders, check_logs):
        try:
            check(bootstrap, name)
            passed += 1
            print(f"ok   {check.__name__[6:]}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            failed += 1
            print(f"FAIL {check.__name__[6:]}: {error}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
