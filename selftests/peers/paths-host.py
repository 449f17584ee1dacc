#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The host's part of check-paths.sh: looks, until the machine is off, whether
threads have the data path; with the argument `pause` it pauses them all the
time, and lets them go on: by turns them alone, so that the guest goes on
sending, and the whole machine. Keeps in the file `path` of the machine's logs,
as words of a shell, what it has seen."""
import json
import os
import random
import socket
import sys
import time

DEVICE = "/machine/peripheral/snap0"
LOG = os.path.join(os.environ["SNAP_VM_LOGS"], "path")


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        while self.socket.connect_ex(path):
            time.sleep(0.05)
        self.file = self.socket.makefile("rw")
        self.file.readline()  # a greeting
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        """The answer; EOFError if the machine is gone."""
        json.dump({"execute": command, "arguments": arguments}, self.file)
        self.file.flush()
        while True:
            line = self.file.readline()
            if not line:
                raise EOFError
            answer = json.loads(line)
            if "error" in answer:
                sys.exit(f"{command}: {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def get(self, name):
        return self.ask("qom-get", path=DEVICE, property=name)

    def halt(self, halted):
        self.ask("qom-set", path=DEVICE, property="x-datapath-halted",
                 value=halted)


seen = {"looks": 0, "threaded": 0, "pauses": 0, "waiting": 0}


def look(monitor):
    seen["looks"] += 1
    seen["threaded"] += monitor.get("threaded")
    with open(LOG, "w", encoding="ascii") as log:
        log.write(" ".join(f"{name}={n}" for name, n in seen.items()) + "\n")


def pause(monitor):
    """waiting: there were packets that did."""
    whole = seen["pauses"] % 2
    if whole:
        monitor.ask("stop")
    else:
        monitor.halt(True)
    time.sleep(random.uniform(0.005, 0.1))
    seen["pauses"] += 1
    seen["waiting"] += monitor.get("x-datapath-waiting") > 0
    if whole:
        monitor.ask("cont")
    else:
        monitor.halt(False)


def main():
    monitor = Monitor(os.environ["SNAP_QMP"])
    while True:
        look(monitor)
        if sys.argv[1:] == ["pause"]:
            pause(monitor)
        time.sleep(random.uniform(0.01, 0.2))


try:
    main()
except (EOFError, BrokenPipeError, ConnectionResetError):
    pass
