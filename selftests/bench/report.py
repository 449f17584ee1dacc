#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Brings together what the machines of bench.sh have measured.

usage: report.py LOGS ACCELERATOR OUT

Reads what the machines of LOGS have left: times, processors, guests, counts and
guests-counts.  Writes results.json, table.rst, costs.rst and, for plot.gp, NAME.dat
of each kind of growth into OUT.
"""

import datetime
import json
import os
import platform
import re
import subprocess
import sys
import textwrap

sys.dont_write_bytecode = True  # beside the sources
from cost import SIDES, cost_table, prices  # noqa: E402
from rst import number, simple_table  # noqa: E402


def load(*path):
    """Rows by name; none if the machine did not get that far."""
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return {row["name"]: row for row in json.load(file)["rows"]}
    except OSError:
        return {}


def text_of(*path):
    """What a file says, or that it does not."""
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def measured(row):
    """Whether it has figures, or says why there are none."""
    return not {"failed", "skipped"} & row.keys()


def merge(times, instructions, calls):
    """One list: times and what the device counts are from the machine with an
    ordinary clock, the rest from the one whose clock counts instructions."""
    rows = []
    for name, row in times.items():
        for other in (instructions, calls):
            if "failed" in other.get(name, {}):
                row.setdefault("failed", other[name]["failed"])
        if measured(row):
            for side in SIDES:
                counts = row["counts"][side]
                # with one processor
                if "busy_ns" in counts:
                    counts["guest_busy_ns"] = counts.pop("busy_ns")
                if name in instructions:
                    counts["instructions"] = \
                        instructions[name]["counts"][side]["busy_ns"]
                for count in ("kernel_copied_bytes", "slab_allocs"):
                    if name in calls:
                        counts[count] = calls[name]["counts"][side][count]
        rows.append(row)
    return rows


def taken(logs, accelerator):
    """Where and when."""
    share = os.path.join(logs, "times/guest/share")
    command = text_of(logs, "times/qemu.cmd")
    processor = re.search(r"-cpu (\S+)", command)
    smp = re.search(r"-smp (\d+)", command)
    model = re.search(r"model name\s*: (.*)", text_of("/proc/cpuinfo"))
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        check=False).stdout.strip()
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit or "unknown",
        "accelerator": accelerator,
        "qemu": text_of("build/qemu/about"),
        "cpu": processor.group(1) if processor else "unknown",
        "cpu_flags": text_of(share, "cpu-flags"),
        "guest_processors": int(smp.group(1)) if smp else 0,
        "guest_kernel": text_of(share, "kernel"),
        "host_kernel": platform.release(),
        "host_processor": model.group(1) if model else platform.machine(),
        "host_processors": os.cpu_count(),
    }


def pair(row, name, scale=1):
    """A count of both sides."""
    both = [row["counts"][side].get(name) for side in SIDES]
    return " : ".join("-" if value is None else number(value / scale)
                      for value in both)


def table(rows, where):
    """What performance.rst includes."""
    good = [row for row in rows if measured(row)]
    out = [".. SPDX-License-Identifier: GPL-2.0-only",
           ".. Written by selftests/bench/report.py: change that, not this.", "",
           textwrap.fill(
               f"Taken {where['date']} of {where['commit']}, "
               f"{where['accelerator']}, {where['qemu']}, guest kernel "
               f"{where['guest_kernel']}, ``-cpu {where['cpu']}``, processors of "
               f"the guest: {where['guest_processors']}; of the host: "
               f"{where['host_processors']}, {where['host_processor']}.",
               80, break_on_hyphens=False), "",
           "Microseconds a message; the ratio is how many times as fast ours is, "
           "median (lowest\nto highest) of the rounds.  A star marks one whose "
           "spread stayed over a fifth,\nan exclamation mark one of sent messages of "
           "which some were lost.", ""]
    out += simple_table(
        ["row", "ours", "peer", "ratio", "instructions", "exits", "interrupts"],
        [[row["name"], number(row["ours"] / 1000), number(row["peer"] / 1000),
          f"{row['ratio']:.2f}{'*' if row['wide'] else ''}"
          f"{'!' if row['lossy'] else ''}"
          f" ({row['lowest']:.2f} to {row['highest']:.2f})",
          pair(row, "instructions"), pair(row, "exits"),
          pair(row, "interrupts")] for row in good])
    out += ["What a message takes besides, ours : peer; bytes copied by the "
            "guest's kernel, by captures, "
            "for\nstores to shared pages and by the device for packets; faults are "
            "those of the process,\ntraps those stores.", ""]
    out += simple_table(
        ["row", "kernel", "captures", "on write", "device", "pages", "slab",
         "faults", "traps"],
        [[row["name"], pair(row, "kernel_copied_bytes"),
          pair(row, "capture_copied_bytes"), pair(row, "cow_copied_bytes"),
          pair(row, "device_copied_bytes"),
          pair(row, "page_allocs"), pair(row, "slab_allocs"),
          pair(row, "page_faults"), pair(row, "write_faults")] for row in good])
    out += ["Microseconds of the host's processors a message, by thread of QEMU, "
            "ours : peer.", ""]
    threads = sorted({name for row in good for side in SIDES
                      for name, ns in
                      row["counts"][side]["host_cpu_ns"].items() if ns >= 10})
    out += simple_table(
        ["row", *threads],
        [[row["name"], *(" : ".join(
            number(row["counts"][side]["host_cpu_ns"].get(name, 0) / 1000)
            for side in SIDES) for name in threads)]
         for row in good if row["counts"]["ours"]["host_cpu_ns"]])
    out += ["Microseconds of a round trip, or a put, ours : peer.", ""]
    out += simple_table(
        ["row", "median", "90 %", "99 %", "longest"],
        [[row["name"], *(pair(row, part, 1000)
                         for part in ("p50_ns", "p90_ns", "p99_ns", "longest_ns"))]
         for row in good if "p50_ns" in row["counts"]["ours"]])
    lost = [row for row in good
            if row["lossy"]]
    if lost:
        out += ["Datagrams that arrived, of one sent, ours : peer.", ""]
        out += simple_table(["row", "arrived"],
                            [[row["name"], pair(row, "arrived")]
                             for row in lost])
    rest = [row for row in rows if not measured(row)]
    if rest:
        out += ["Not measured:", ""]
        out += [f"* {row['name']}: {row.get('failed') or row['skipped']}"
                for row in rest] + [""]
    return out


def plots(rows, out):
    """Data by the size of messages; names of those that can be drawn."""
    kinds = {}
    for row in rows:
        found = re.fullmatch(r"growth-(.*)-\d+", row["name"])
        if found and measured(row):
            kinds.setdefault(found.group(1), []).append(row)
    drawn = []
    for kind, of_kind in kinds.items():
        if len(of_kind) < 2:
            continue
        with open(os.path.join(out, f"{kind}.dat"), "w", encoding="utf-8") as f:
            print(f'bytes "{kind}, AF_SNAP over snap0"'
                  f' "{kind}, AF_INET over virtio-net"', file=f)
            for row in sorted(of_kind, key=lambda row: row["bytes"]):
                print(row["bytes"], row["ours"], row["peer"], file=f)
        drawn.append(kind)
    return drawn


def main():
    """Read, merge, write."""
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    logs, accelerator, out = sys.argv[1:]
    share = "guest/share"
    times = load(logs, "times", share, "times.json")
    for name, row in load(logs, "processors", share, "times.json").items():
        times[name] = {**row, "guest_processors": 4}
    times.update(load(logs, "guests", share, "times.json"))
    instructions, calls = (
        {**load(logs, "counts", share, name),
         **load(logs, "guests-counts", share, name)}
        for name in ("instructions.json", "calls.json"))
    rows = merge(times, instructions, calls)
    if not rows:
        sys.exit("report.py: nothing was measured")
    where = taken(logs, accelerator)
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as file:
        json.dump({"SPDX-License-Identifier": "GPL-2.0-only",
                   "taken": where, "rows": rows}, file, indent=1)
        file.write("\n")
    lines = table(rows, where)
    for kind in plots(rows, out):
        lines += [f".. image:: performance/{kind}.png",
                  f"   :alt: time by the size of a message, {kind}", ""]
    with open(os.path.join(out, "table.rst"), "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
    good = [row for row in rows if measured(row)]
    with open(os.path.join(out, "costs.rst"), "w", encoding="utf-8") as file:
        file.write("\n".join(cost_table(good, prices())))


main()
