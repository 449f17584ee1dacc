#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print what snapmem-bench has measured, ratios first.

usage: report.py BENCH.json CHANGED.dat

CHANGED.dat gets the times of diff, merge and commit by changed pages, for
plot.gp.
"""

import json
import math
import re
import sys

SMALL, MIDDLE, LARGE = 256, 16384, 262144
SIZES = {SMALL: "1 MiB", MIDDLE: "64 MiB", LARGE: "1 GiB"}
CHANGED = [4**i for i in range(7)]
KINDS = ["diff", "merge_one_side", "merge_both_sides", "commit"]
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def load(path):
    """Rows by name: the best of the repetitions, which others disturb least."""
    rows = {}
    with open(path, encoding="utf-8") as file:
        for row in json.load(file)["benchmarks"]:
            if row["run_type"] != "iteration":
                continue
            name = re.sub(
                r"/(manual_time|real_time|(iterations|repeats|min_time):[\d.]+)",
                "",
                row["run_name"],
            )
            best = rows.get(name)
            if best is None or row["real_time"] < best["real_time"]:
                rows[name] = row
    return rows


def text(ns):
    """A time with its unit."""
    for unit in ("ns", "us", "ms"):
        if ns < 1000:
            return f"{ns:.3g} {unit}"
        ns /= 1000
    return f"{ns:.3g} s"


class Report:
    """Prints rows; those that failed say why."""

    def __init__(self, rows):
        self.rows = rows

    def time(self, name):
        """Nanoseconds of one iteration, or None."""
        row = self.rows.get(name)
        if row is None or row.get("error_occurred"):
            return None
        return row["real_time"] * UNITS[row["time_unit"]]

    def per_item(self, name):
        """Nanoseconds of one page, or None."""
        if self.time(name) is None:
            return None
        return 1e9 / self.rows[name]["items_per_second"]

    def why(self, name):
        """The reason that there is no number."""
        return self.rows.get(name, {}).get("error_message", "not measured")

    def line(self, title, value, note=""):
        """One row."""
        print(f"  {title:<50} {value:>10}  {note}".rstrip())

    def ratio(self, title, name, other, most=None, by_item=False):
        """How much longer one takes than another, at most so much."""
        measure = self.per_item if by_item else self.time
        a, b = measure(name), measure(other)
        if a is None or b is None:
            self.line(title, "-", self.why(name if a is None else other))
            return
        note = f"{text(a)} : {text(b)}"
        if most is not None:
            note += f", target {most:g}: {'met' if a / b <= most else 'MISSED'}"
        self.line(title, f"{a / b:.3g}", note)

    def cost(self, title, name, by_item=False, most=None):
        """A time, at most so many nanoseconds."""
        ns = self.per_item(name) if by_item else self.time(name)
        if ns is None:
            self.line(title, "-", self.why(name))
        elif most is None:
            self.line(title, text(ns))
        else:
            self.line(title, text(ns), f"target {text(most)}: "
                      f"{'met' if ns <= most else 'MISSED'}")


def snapshots(r):
    """Taking snapshots, and the stores after them."""
    print("Snapshot, metadata alone (no trap)")
    for pages, size in SIZES.items():
        r.cost(f"{size}, nothing stored since the last", f"snapshot_idle/{pages}")
    idle = [r.time(f"snapshot_idle/{p}") for p in SIZES]
    if None not in idle:
        spread = max(idle) / min(idle)
        r.line("slowest : fastest", f"{spread:.3g}",
               f"target 2: {'met' if spread <= 2 else 'MISSED'}")
    r.cost("4 GiB sparse, nothing stored since the last", "snapshot_idle_sparse",
           most=1000)
    r.cost("4 GiB, with userfaultfd and this max_map_count",
           "snapshot_idle_mapped", most=1000)
    for pages, size in SIZES.items():
        r.cost(f"{size}, every page stored to since the last",
               f"snapshot_written/{pages}")
    for pages, size in SIZES.items():
        r.cost(f"  of it for each page, {size}", f"snapshot_written/{pages}", True)

    print("Arming traps (userfaultfd), per page")
    r.cost("one page at a time", f"arm/{MIDDLE}/1", True)
    r.cost("extents of 64 pages", f"arm/{MIDDLE}/64", True)
    extent = r.per_item(f"arm/{MIDDLE}/64")
    if extent is not None:
        r.line("  per extent", text(64 * extent))
    r.ratio("  extent : page by page", f"arm/{MIDDLE}/64", f"arm/{MIDDLE}/1")
    for pages, size in SIZES.items():
        r.cost(f"whole region of {size}", f"arm/{pages}/{pages}", True)
        r.cost("  in all", f"arm/{pages}/{pages}")

    print("First store to a page after a snapshot, per page")
    r.cost("the trap alone: fault, switch, disarm, switch", "trap_alone", True)
    r.cost("single: trap, copy", "store_after/single", True, 3000)
    r.ratio("  single : the trap alone", "store_after/single", "trap_alone",
            by_item=True)
    r.cost("  with the fault thread on another processor",
           "store_after/single_elsewhere", True)
    r.cost("in order: copied ahead", "store_after/around", True)
    r.ratio("  in order : single", "store_after/around", "store_after/single",
            by_item=True)
    r.cost("single, the snapshot was dropped", "store_after/dropped_single", True)
    r.cost("in order, the snapshot was dropped", "store_after/dropped_around", True)


def captures(r):
    """Captures beside memcpy."""
    print("Capture of 64 KiB and its release")
    r.ratio("by copy : memcpy", "capture_copy_64k", "memcpy_64k", 1.3)
    r.ratio("by share : memcpy", "capture_share_64k", "memcpy_64k")
    for mode in ("share", "auto"):
        r.ratio(f"rewritten in between, {mode} : copy", f"rewritten_64k/{mode}",
                "rewritten_64k/copy")
    for what, name in (("by copy", "copy_threads"),
                       ("by share", "share_threads"),
                       ("by share, one region", "share_one_region")):
        one = r.rows.get(f"capture_{name}/threads:1")
        for n in (1, 2, 4):
            row = r.rows.get(f"capture_{name}/threads:{n}")
            if row and one:
                rate = row["bytes_per_second"]
                r.line(f"{what}, {n} threads : 1",
                       f"{rate / one['bytes_per_second']:.3g}",
                       f"{rate / 2**30:.3g} GiB/s")


def changed(r, path):
    """Diff, merge, commit by changed pages: a table, and data for a plot."""
    print("Changed pages of 256 MiB: time in all, and per page")
    print("  " + f"{'pages':>6}" + "".join(f"{k:>24}" for k in KINDS))
    with open(path, "w", encoding="utf-8") as data:
        print("# pages, then microseconds:", *KINDS, file=data)
        for k in CHANGED:
            times = [r.time(f"{kind}/{k}") for kind in KINDS]
            if None in times:
                continue
            print(f"  {k:>6}" + "".join(
                f"{text(t):>13} {text(t / k):>10}" for t in times))
            print(k, *(t / 1000 for t in times), file=data)
    print("  Exponent of growth from 64 pages on (1: proportional)")
    for kind in KINDS:
        a, b = r.time(f"{kind}/64"), r.time(f"{kind}/4096")
        if a and b:
            r.line(kind, f"{math.log(b / a) / math.log(64):.2f}")


def memory(r):
    """Heap of the engine."""
    print("Heap of the engine, per cent of the region's bytes")
    for pages, size in SIZES.items():
        row = r.rows.get(f"idle_memory/{pages}")
        if row:
            total = row["tables_percent"] + row["region_percent"]
            r.line(f"idle region of {size}", f"{total:.3g}",
                   f"frames and window {row['tables_percent']:.3g}, "
                   f"map {row['region_percent']:.3g}, "
                   f"target 1: {'met' if total < 1 else 'MISSED'}")
    row = r.rows.get(f"idle_memory/{SMALL}")
    if row:
        r.line("every engine, KiB", f"{row['fixed_bytes'] / 1024:.0f}")
    for pages, size in SIZES.items():
        row = r.rows.get(f"snapshot_memory/{pages}")
        if row:
            percent = 100 / (pages * 4096)
            r.line(f"first snapshot of {size}",
                   f"{row['first_bytes'] * percent:.3g}",
                   f"{row['first_bytes']:.0f} bytes; each other "
                   f"{row['next_bytes']:.0f}")


def bounds(r):
    """Single commands in the worst case that a guest can arrange."""
    print("One command, its worst case arranged (no trap)")
    for title, name in {
        "create 256 MiB of frames never used": "worst_create/never_used",
        "create 256 MiB of frames to clear": "worst_create/used",
        "create 32 MiB, all frames single": "worst_create/fragmented_32m",
        "clone 64 MiB of the same owner": "worst_clone/same_owner",
        "clone 64 MiB of another owner": "worst_clone/other_owner",
        "snapshot of one page": "worst_snapshot/0/0",
        "  with 8191 snapshots": "worst_snapshot/8191/0",
        "  with 1 GiB promised, mappings short": "worst_snapshot/0/262144",
        "capture without frames, 256 MiB of regions": "worst_capture",
        "diff of 64 MiB, equal bytes, other frames": "worst_diff",
    }.items():
        r.cost(title, name)
    r.cost("store, copied ahead, 4 GiB of single frames", "worst_store", True)


# Rows of bench_costs.cpp: operation, worst case arranged, name, n, growth that
# engine.rst promises when n doubles.
PAGES, FRAMES, LARGE_FRAMES, OWNERS = 8192, 128, 32, 500
COSTS = [
    ("create", "single frames that were used", "create", PAGES, 2),
    ("create, sparse", "", "create_sparse", PAGES, 2),
    ("destroy", "single frames", "destroy", PAGES, 2),
    ("drop", "all frames are its alone", "drop", PAGES, 2),
    ("capture by copy", "single frames", "capture/copy", FRAMES, 2),
    ("capture by share", "single frames, all stored to", "capture/share",
     FRAMES, 2),
    ("capture of a snapshot", "single frames", "capture_snapshot", FRAMES, 2),
    ("snapshot", "8191 others, no frame left", "snapshot", PAGES, 1),
    ("snapshot", "all stored to", "snapshot_written", PAGES, 2),
    ("store, page armed", "single frames, alone", "store", PAGES, 1),
    ("clone", "", "clone/same_owner", PAGES, 2),
    ("clone, another owner's", "", "clone/other_owner", PAGES, 2),
    ("commit", "all pages differ", "commit", PAGES, 2),
    ("merge", "all pages differ", "merge", PAGES, 2),
    ("diff, one command", "all pages differ", "diff", PAGES, 1),
    ("discard", "all have frames", "discard", PAGES, 2),
    ("get_object", "", "get_object", PAGES, 1),
    ("charged", "n owners", "charged", OWNERS, 2),
    ("release", "single frames", "release", FRAMES, 2),
    ("receive", "single frames", "receive", FRAMES, 2),
    ("release, large", "all others single", "release_large", LARGE_FRAMES, 2),
    ("receive, large", "one of n frames", "receive_large", PAGES, 1),
]


def costs(r):
    """How the time of each operation grows when n doubles."""
    print("Operations, worst case arranged: time for n, growth for 2 n")
    for title, worst, name, n, wanted in COSTS:
        a, b = r.time(f"cost_{name}/{n}"), r.time(f"cost_{name}/{2 * n}")
        if a is None or b is None:
            r.line(title, "-", r.why(f"cost_{name}/{n}"))
            continue
        r.line(f"{title:<23}{worst:<29}{n:>5}", text(a),
               f"growth {b / a:.2f}, by the table {wanted}")


def peers(r):
    """A consistent view while every page is stored to, and other ways."""
    print("A snapshot, and a store to every page while it lasts : other ways")
    others = {
        "fork_and_store_all": "fork()",
        "private_mapping_and_store_all": "private mapping of a memory file",
        "copy_and_store_all": "copy into memory that is there",
        "copy_to_new_and_store_all": "copy into new memory",
    }
    most = {(MIDDLE, "fork_and_store_all"): 0.6,
            (LARGE, "fork_and_store_all"): 1}
    for pages, size in SIZES.items():
        for name, title in others.items():
            r.ratio(f"{size} : {title}", f"snapshot_and_store_all/used/{pages}",
                    f"{name}/{pages}", most.get((pages, name)))
        r.ratio(f"{size}, frames never used : fork()",
                f"snapshot_and_store_all/never_used/{pages}",
                f"fork_and_store_all/{pages}")
    r.ratio("64 MiB by two threads : fork()",
            f"snapshot_and_store_by_two/{MIDDLE}",
            f"fork_and_store_by_two/{MIDDLE}")
    r.ratio("  by two threads : by one, snapshot",
            f"snapshot_and_store_by_two/{MIDDLE}",
            f"snapshot_and_store_all/used/{MIDDLE}")
    print("Until the program goes on: a snapshot, all pages to be armed : fork()")
    for pages, size in SIZES.items():
        r.ratio(size, f"snapshot_and_arm/{pages}", f"fork_only/{pages}")


def main():
    """Read, print."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    r = Report(load(sys.argv[1]))
    snapshots(r)
    captures(r)
    changed(r, sys.argv[2])
    memory(r)
    bounds(r)
    costs(r)
    peers(r)


main()
