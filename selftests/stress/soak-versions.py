#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Snapshots, clones, commits, merges and discards of one region in random order;
each page of each snapshot has what was in the region then. Part of soak.sh."""
import random

import snap

PAGE = 4096
PAGES = 64
STEPS = 300
SNAPSHOTS = 8

region = snap.Region(snap.Device(), PAGES * PAGE)
pages = [0] * PAGES  # what each is full of
kept: list[tuple[snap.Snapshot, list[int]]] = []


def store(to, page):
    value = random.randrange(1, 256)
    to[page * PAGE:(page + 1) * PAGE] = bytes([value]) * PAGE
    return value


def check(snapshot, want):
    got = snapshot.read()
    for page, value in enumerate(want):
        assert got[page * PAGE:(page + 1) * PAGE] == bytes([value]) * PAGE, page
    snapshot.close()


def step_store():
    for page in random.sample(range(PAGES), 4):
        pages[page] = store(region, page)


def step_discard():
    page = random.randrange(PAGES)
    region.discard(page * PAGE, PAGE)
    pages[page] = 0


def step_snapshot():
    kept.append((region.snapshot(), pages.copy()))
    if len(kept) > SNAPSHOTS:
        check(*kept.pop(random.randrange(SNAPSHOTS)))


def step_commit():
    page = random.randrange(PAGES)
    with region.snapshot() as base, base.clone() as clone:
        value = store(clone, page)
        with clone.snapshot() as changed:
            region.commit(changed, base.version)
    pages[page] = value


def step_merge():
    here, there = random.sample(range(PAGES), 2)
    with region.snapshot() as base, base.clone() as clone:
        pages[here] = store(region, here)
        value = store(clone, there)
        with clone.snapshot() as changed:
            region.merge(base, changed)
    pages[there] = value


for _ in range(STEPS):
    random.choice((step_store, step_discard, step_snapshot, step_commit,
                   step_merge))()
for pair in kept:
    check(*pair)
check(region.snapshot(), pages)
