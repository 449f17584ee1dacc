/* SPDX-License-Identifier: GPL-2.0-only */
/* The table by which received flows are spread. */
#ifndef SNAP_COMPAT_RXFH_H
#define SNAP_COMPAT_RXFH_H

#include <linux/ethtool.h>
#include <linux/netdevice.h>

#include "compat/probed.h"

#ifndef SNAP_HAVE_RXFH_INDIR_LOST	/* 7.1 */
/* What the user has set is no longer in force; RTNL. */
static inline void ethtool_rxfh_indir_lost(struct net_device *dev)
{
	dev->priv_flags &= ~IFF_RXFH_CONFIGURED;
}
#endif

#endif /* SNAP_COMPAT_RXFH_H */
