// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least time between interrupts for received packets, one for all channels, or
 * for each what the kernel's rule makes of its traffic.
 */

#include "compat/dim.h"
#include "device/dev.h"
#include "net/netdev.h"

static void snap_moderation_write(struct snap_channel *ch, u32 usecs)
{
	if (!READ_ONCE(ch->q->sd->gone))
		snap_queue_write(ch->q, SNAP_QREG_HOLDOFF, usecs);
}

/* What the rule has found. */
static void snap_moderation_work(struct work_struct *work)
{
	struct snap_channel *ch = container_of(work, struct snap_channel, dim.work);
	struct dim_cq_moder found = net_dim_get_rx_moderation(ch->dim.mode,
							      ch->dim.profile_ix);

	snap_moderation_write(ch, found.usec);
	ch->dim.state = DIM_START_MEASURE;
}

void snap_moderation_init(struct snap_channel *ch)
{
	ch->dim.mode = DIM_CQ_PERIOD_MODE_START_FROM_EQE;
	INIT_WORK(&ch->dim.work, snap_moderation_work);
}

void snap_moderation_stop(struct snap_channel *ch)
{
	/* the rule waits for it, and takes what it has found for done */
	if (cancel_work_sync(&ch->dim.work))
		snap_moderation_work(&ch->dim.work);
}

/* The rule says only what changes, so it and the device begin with the same. */
static void snap_moderation_restart(struct snap_channel *ch)
{
	ch->dim.profile_ix = 0;
	snap_moderation_write(ch, net_dim_get_rx_moderation(ch->dim.mode, 0).usec);
}

int snap_moderation_set(struct snap_netdev *sn, u32 rx_usecs, bool rx_adaptive)
{
	u32 i;

	if (!(sn->sd->features & SNAP_F_HOLDOFF))
		return -EOPNOTSUPP;
	sn->rx_usecs = rx_usecs;
	WRITE_ONCE(sn->rx_adaptive, false);
	synchronize_net();	/* no poll asks the rule any more */
	for (i = 0; i < sn->sd->nqueues; i++) {
		struct snap_channel *ch = &sn->channel[i];

		snap_moderation_stop(ch);
		if (rx_adaptive)
			snap_moderation_restart(ch);
		else
			snap_moderation_write(ch, rx_usecs);
	}
	WRITE_ONCE(sn->rx_adaptive, rx_adaptive);
	return 0;
}

void snap_moderation_learn(struct snap_channel *ch)
{
	struct snap_netdev *sn = netdev_priv(ch->napi.dev);
	struct dim_sample sample = {};

	if (!READ_ONCE(sn->rx_adaptive))
		return;
	dim_update_sample(ch->rx_polls, ch->rx_packets, ch->rx_bytes, &sample);
	snap_dim(&ch->dim, &sample);
}
