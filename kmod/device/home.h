/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The way home: lists of frames that the guest needs no longer, or holds more often
 * than it needs, which go back to the device by doorbells of many.
 */
#ifndef SNAP_HOME_H
#define SNAP_HOME_H

#include <linux/types.h>

struct snap_frames;
struct snap_home;
struct snap_queue;

/* Ways home of a pool, one for each data queue: 0 or ENOMEM. */
int snap_homes_create(struct snap_frames *sf, u32 n);
/* The device is gone: after this nobody rings for a frame, nor is doing so. */
void snap_homes_close(struct snap_frames *sf);
/* When nobody lists frames any more; then no work does anything. */
void snap_homes_stop(struct snap_frames *sf);
void snap_homes_free(struct snap_frames *sf);

/**
 * snap_home_list() - a frame is to go home, as far as nobody needs it
 * @sf: pool
 * @f: frame; its lock is held
 *
 * Return: in whose list it is now, if that has enough for a doorbell; else NULL.
 */
struct snap_home *snap_home_list(struct snap_frames *sf, u32 f);

/*
 * One doorbell, if there are enough frames for it and it costs nobody anything who has
 * to be quick.  Any context; no lock of a frame is held.
 */
void snap_home_ring(struct snap_home *home);

/**
 * snap_home_ring_with() - one doorbell for frames, and for packets behind them
 * @q: data queue
 * @packets: how many are in its slots TX, from the first on
 *
 * Half as many frames as are worth a doorbell of their own are enough: here they save
 * one.
 *
 * Context: TX lock of the queue held, softirqs off.
 * Return: whether it was rung for the packets.
 */
bool snap_home_ring_with(struct snap_queue *q, u32 packets);

/* Doorbells for what is in the lists.  Process or softirq, interrupts on. */
void snap_homes_flush(struct snap_frames *sf);

#endif /* SNAP_HOME_H */
