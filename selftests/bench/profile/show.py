#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the guest's instructions went, from what count.cpp has counted.

usage: show.py KALLSYMS COUNTS [FUNCTION]

Of all seconds it shows the two that had most of the snap module and of virtio_net:
functions by instructions, divided by the calls of FUNCTION (do_syscall_64), so for
most rows by messages.  A copy by "rep movs" is one instruction here.
"""

import bisect
import collections
import glob
import sys

SHOWN = 40
KERNEL = 1 << 63


class Symbols:
    """Functions of the guest's kernel and its modules."""

    def __init__(self, path):
        found = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                address, kind, name, *module = line.split()
                if kind in "tTwW":
                    found.append((int(address, 16), " ".join([name, *module])))
        found.sort()
        self.addresses = [address for address, _ in found]
        self.names = [name for _, name in found]

    def of(self, address):
        """The function, and whether it begins there."""
        if address < KERNEL:
            return "(programs)", False
        i = bisect.bisect_right(self.addresses, address) - 1
        return self.names[i], self.addresses[i] == address


def load(path):
    """Times executed, by address and number of instructions."""
    counts = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            address, instructions, times = line.split()
            counts[int(address, 16), int(instructions)] = int(times)
    return counts


def second(symbols, before, after):
    """Instructions and calls of each function meanwhile."""
    instructions, calls = collections.Counter(), collections.Counter()
    for block, times in after.items():
        times -= before.get(block, 0)
        if times:
            name, entry = symbols.of(block[0])
            instructions[name] += times * block[1]
            if entry:
                calls[name] += times
    return instructions, calls


def show(title, instructions, calls, function):
    """One table."""
    units = calls[function]
    if not units:
        print(f"{title}: {function} was not called")
        return
    print(f"{title}: {sum(instructions.values()) / units:.0f} instructions for "
          f"each of {units} calls of {function}")
    for name, count in instructions.most_common(SHOWN):
        print(f"{count / units:10.1f} {calls[name] / units:7.2f} calls  {name}")
    print()


def main():
    """Read, choose, print."""
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    symbols = Symbols(sys.argv[1])
    function = sys.argv[3] if len(sys.argv) == 4 else "do_syscall_64"
    # one that ends in .part was being written when the machine stopped
    paths = [path for path in glob.glob(glob.escape(sys.argv[2]) + ".[0-9]*")
             if not path.endswith(".part")]
    paths.sort(key=lambda path: int(path.rsplit(".", 1)[1]))
    counts = [load(path) for path in paths]
    seconds = [second(symbols, *pair) for pair in zip(counts, counts[1:])]
    if not seconds:
        sys.exit("show.py: nothing was counted")
    for title, module in (("ours", "[snap]"), ("peer", "[virtio_net]")):
        best = max(seconds, key=lambda one, module=module: sum(
            n for name, n in one[0].items() if name.endswith(module)))
        show(title, *best, function)


main()
