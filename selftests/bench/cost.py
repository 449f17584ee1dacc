# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the counts of a row would cost under KVM, and with a device in hardware.

A model, not a measurement: each count times a price of prices.json, which is a
range.  Documentation/performance.rst, "What these counts would cost", says why
which count has which price.
"""

import itertools
import json
import os
import re
import textwrap

from rst import number, simple_table

SIDES = ("ours", "peer")
# Without these there is nothing to price.
NEEDED = ("instructions", "kernel_copied_bytes", "exits", "interrupts")
# Rows whose application loads what it receives; splice(2) only passes it on.
RECEIVES = re.compile(r"receive|-rr-|views|^loopback-")
LINE = 64
# Cache misses of one processor that are under way at once.
LINES_AT_ONCE = 10
# The least that a copy of the kernel takes by: rep movsq, of which the machine
# that counts instructions counts each repetition.
COPIED_BY_INSTRUCTION = 8


def prices():
    """Prices by name."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prices.json")
    with open(path, encoding="utf-8") as file:
        return {price["name"]: price for price in json.load(file)["prices"]}


def received(row, side):
    """Bytes of payload that the application gets, and loads."""
    if not RECEIVES.search(row["name"]):
        return 0
    return row["bytes"] * row["counts"][side]["arrived"]


def anywhere(row, side):
    """What costs the same wherever the device is: instructions, but for those that
    only copy."""
    counts = row["counts"][side]
    copying = counts["kernel_copied_bytes"] / COPIED_BY_INSTRUCTION
    return {"instruction": max(counts["instructions"] - copying, 0),
            "page fault": counts["page_faults"]}


def under_kvm(row, side):
    """Amounts by price: QEMU is the device, and copies with the host's processors."""
    counts = row["counts"][side]
    return {**anywhere(row, side),
            "exit": counts["exits"],
            "return to QEMU": counts["exits"] if side == "ours" else 0,
            "injected interrupt": counts["interrupts"],
            "trapped store": counts["write_faults"],
            # what nobody copies, the application is the first to fetch
            "copied byte": max(counts["kernel_copied_bytes"], received(row, side)) +
                           counts["capture_copied_bytes"] +
                           counts["device_copied_bytes"]}


def in_hardware(row, side):
    """Amounts by price: the device has its own memory, behind CXL, and copies by
    itself; that of the peer is a network card."""
    counts = row["counts"][side]
    copied, payload = counts["kernel_copied_bytes"], received(row, side)
    amounts = {**anywhere(row, side),
               "posted write": counts["doorbells"],
               "MSI-X interrupt": counts["interrupts"]}
    if side == "peer":
        return {**amounts, "copied byte": max(copied, payload)}
    far = min(copied, payload)
    return {**amounts,
            "command": counts["doorbells"],
            "register read": counts["exits"] - counts["doorbells"],
            "link byte": counts["capture_copied_bytes"] +
                         max(counts["device_copied_bytes"] - payload, 0),
            "far load": (payload + counts["by_reference_bytes"]) /
                        (LINE * LINES_AT_ONCE) + counts["write_faults"],
            "cached byte": far,
            "copied byte": copied - far}


def total(amounts, price_of):
    """Nanoseconds a message."""
    return sum(amount * price_of[name] for name, amount in amounts.items())


def ratios(ours, peer, of):
    """Lowest and highest of what the peer costs, of what ours does: a quotient of
    sums has them where each price is at an end of its range."""
    names = [name for name in of if ours.get(name) or peer.get(name)]
    found = []
    for ends in itertools.product(("low", "high"), repeat=len(names)):
        chosen = {name: of[name][end] for name, end in zip(names, ends)}
        found.append(total({n: peer.get(n, 0) for n in names}, chosen) /
                     total({n: ours.get(n, 0) for n in names}, chosen))
    return min(found), max(found)


def cells(row, model, of):
    """Microseconds of both, from lowest to highest, and the ratio."""
    amounts = [model(row, side) for side in SIDES]
    both = [" to ".join(number(total(a, {name: of[name][end] for name in a}) / 1000)
                        for end in ("low", "high")) for a in amounts]
    return [*both, " to ".join(f"{ratio:.2f}" for ratio in ratios(*amounts, of))]


def priced(row):
    """Whether both sides have been counted: what fork(2) copies is not."""
    return not row["name"].startswith("checkpoint-") and all(
        need in row["counts"][side] for need in NEEDED for side in SIDES)


def price_list(of):
    """The prices, and where they are from."""
    out = simple_table(
        ["price", "unit", "low", "high"],
        [[name, price["unit"], number(price["low"]), number(price["high"])]
         for name, price in of.items()])
    for name, price in of.items():
        out += [name, f"  {price['what']}", ""]
        for source in price["sources"]:
            title = f"`{source['title']} <{source['url']}>`__" \
                if "url" in source else source["title"]
            out += [f"  * {source['says']}: {title}"]
        out += [""]
    return out


def cost_table(rows, of):
    """What performance.rst includes: prices, and what the rows would cost."""
    out = [".. SPDX-License-Identifier: GPL-2.0-only",
           ".. Written by selftests/bench/cost.py: change that, not this.", "",
           *price_list(of),
           *textwrap.wrap(
               "Microseconds of processors a message, from the lowest prices to the "
               "highest.  The ratio is what the peer costs, of what ours does: the "
               "lowest and highest that prices within their ranges give, the same for "
               "both; 2 is half as much for ours.", 80), ""]
    return out + simple_table(
        ["row", "KVM: ours", "peer", "ratio", "hardware: ours", "peer", "ratio"],
        [[row["name"], *cells(row, under_kvm, of), *cells(row, in_hardware, of)]
         for row in rows if priced(row)])
