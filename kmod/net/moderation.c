// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least time between interrupts for received packets: one for all channels, or
 * for each what its traffic asks for.
 *
 * What moves much data between two interrupts is not waited for packet by packet:
 * fewer interrupts save it exits, and acknowledgements, which each message that TCP
 * sends would otherwise find come already and go out in pieces for.  What asks and
 * waits for an answer moves little, and is not held back.
 */

#include <linux/sizes.h>

#include "device/dev.h"
#include "net/netdev.h"

/* Bytes, sent or received, from one interrupt to the next: this is much. */
#define SNAP_BULK_BYTES		SZ_32K
/* Microseconds: with a few hundred KiB in one, what waits is no more than a batch. */
#define SNAP_BULK_USECS		250
/* So many interrupts in a row have to say so, since telling the device is an exit. */
#define SNAP_BULK_TURNS		8

static void snap_moderation_write(struct snap_channel *ch, u32 usecs)
{
	WRITE_ONCE(ch->holdoff, usecs);
	if (!READ_ONCE(ch->q->sd->gone))
		snap_queue_write(ch->q, SNAP_QREG_HOLDOFF, usecs);
}

int snap_moderation_set(struct snap_netdev *sn, u32 rx_usecs, bool rx_adaptive)
{
	u32 i;

	if (!(sn->sd->features & SNAP_F_HOLDOFF))
		return -EOPNOTSUPP;
	sn->rx_usecs = rx_usecs;
	WRITE_ONCE(sn->rx_adaptive, false);
	synchronize_net();	/* no poll writes it any more */
	for (i = 0; i < sn->sd->nqueues; i++) {
		sn->channel[i].bulk_turns = 0;
		snap_moderation_write(&sn->channel[i], rx_adaptive ? 0 : rx_usecs);
	}
	WRITE_ONCE(sn->rx_adaptive, rx_adaptive);
	return 0;
}

void snap_moderation_learn(struct snap_channel *ch)
{
	struct snap_netdev *sn = netdev_priv(ch->napi.dev);
	u64 bytes = ch->rx_bytes + READ_ONCE(ch->tx_bytes);
	bool bulk = bytes - ch->bytes_before >= SNAP_BULK_BYTES;

	ch->bytes_before = bytes;
	if (!READ_ONCE(sn->rx_adaptive))
		return;
	if (bulk == !!ch->holdoff) {
		ch->bulk_turns = 0;
	} else if (++ch->bulk_turns == SNAP_BULK_TURNS) {
		ch->bulk_turns = 0;
		snap_moderation_write(ch, bulk ? SNAP_BULK_USECS : 0);
	}
}
