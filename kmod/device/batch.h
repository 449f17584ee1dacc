/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A sender with several messages at hand: their packets share doorbells.
 *
 * A packet that was given to an interface of ours between begin and end may wait in
 * its slot for the next one, until the slots are full, half of the socket's room is
 * taken, anybody sends by the same queue without waiting, or a timer, which was
 * started with the first, rings: after SNAP_BATCH_TICKS.  So nothing depends on a next
 * message, which may fail before it comes here, nor on the sender, which may sleep or
 * be preempted.
 */
#ifndef SNAP_BATCH_H
#define SNAP_BATCH_H

#include <linux/types.h>

/* In jiffies, the end of the one that goes on included: no packet waits longer. */
#define SNAP_BATCH_TICKS	1

/**
 * snap_batch_begin() - another message of this task follows soon
 *
 * The packets of one that is moved to another processor do not wait.
 *
 * Context: process.
 * Return: for snap_batch_end().
 */
unsigned int snap_batch_begin(void);
void snap_batch_end(unsigned int batch);

/* May what is sent here and now wait for the next?  Softirqs off. */
bool snap_batch_is_here(void);

#endif /* SNAP_BATCH_H */
