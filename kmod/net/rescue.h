/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is unread when a device goes: packets in sockets get ordinary pages with
 * the same bytes in place of frames, as long as the device is there.  If it is
 * not, or a packet cannot be had, its socket gets EIO in place of the bytes.  Once
 * a device has been given up its memory is not read again, even if it answers.
 *
 * Of TCP all queues are looked through, those to be sent among them, of UDP what
 * has arrived.  The rest has a second to let go of frames by itself: readers in
 * the middle of a packet, interfaces that send one; then those that end a socket
 * have one, too.  What then still has frames, as pipes, sockets of other families
 * and one that a process held locked all the time, keeps them as orphans.
 */
#ifndef SNAP_RESCUE_H
#define SNAP_RESCUE_H

/* Each device that goes is looked after, as the last part that is told. */
int snap_rescue_init(void);
void snap_rescue_exit(void);

#endif /* SNAP_RESCUE_H */
