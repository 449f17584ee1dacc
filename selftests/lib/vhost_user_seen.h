/* SPDX-License-Identifier: GPL-2.0-only */
/* What vhost_user_net on the host tells the tests of the guest, by a file. */
#ifndef SNAP_SELFTEST_VHOST_USER_SEEN_H
#define SNAP_SELFTEST_VHOST_USER_SEEN_H

#include <stdint.h>

struct vhost_user_seen {
	uint64_t packets;	/* that the guest has sent */
	uint64_t bad;		/* of them: with a part at an unknown address */
	uint64_t address;	/* the last such address */
	uint64_t length;	/* bytes of the last packet, with its headers */
	char last[1 << 17];	/* these */
};

#endif /* SNAP_SELFTEST_VHOST_USER_SEEN_H */
