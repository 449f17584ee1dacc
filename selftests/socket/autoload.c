// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel loads both modules by itself where modprobe(8) knows them: the
 * family when a socket is made, the diagnosis when somebody asks for it.
 * Here modprobe knows these modules and no others.
 *
 * Machines: copy-1 debug
 */

#include "kselftest_harness.h"
#include "snap_test_util.h"

#define MODPROBE	"/proc/sys/kernel/modprobe"
#define PLACE		"/run/autoload"

static bool loaded(const char *module)
{
	return !sh("test -e /sys/module/%s", module);
}

FIXTURE(autoload)
{
};

FIXTURE_SETUP(autoload)
{
	ASSERT_EQ(0, sh(". /run/snap-vm/settings && "
			"mkdir -p " PLACE "/lib/modules/$(uname -r) && "
			"cp $(dirname $VM_MODULE)/snap*.ko "
			PLACE "/lib/modules/$(uname -r)/ && "
			"depmod -b " PLACE " 2>/dev/null"));
	ASSERT_EQ(0, sh("printf '#!/bin/sh\\nexec modprobe -d " PLACE
			" \"$@\"\\n' >" PLACE "/modprobe && "
			"chmod +x " PLACE "/modprobe"));
	ASSERT_EQ(0, sh("cp " MODPROBE " " PLACE "/before"));
	ASSERT_EQ(0, write_text(MODPROBE, PLACE "/modprobe"));
	ASSERT_EQ(0, sh("rmmod snap_diag"));
}

FIXTURE_TEARDOWN(autoload)
{
	EXPECT_EQ(0, sh("cat " PLACE "/before >" MODPROBE));
	if (!loaded("snap_diag"))
		EXPECT_EQ(0, sh(". /run/snap-vm/settings && "
				"insmod $(dirname $VM_MODULE)/snap_diag.ko"));
}

TEST_F(autoload, diagnosis)
{
	int fd = udp_socket(AF_SNAP, AF_INET);

	ASSERT_GE(fd, 0);
	ASSERT_FALSE(loaded("snap_diag"));
	EXPECT_EQ(0, sh(". /run/snap-vm/settings; "
			"$VM_TOP/build/tools/snapctl --json sockets | "
			"grep -q '\"cookie\":'"));
	EXPECT_TRUE(loaded("snap_diag"));
	close(fd);
}

TEST_F(autoload, family)
{
	int fd;

	ASSERT_EQ(0, wait_no_frames_out(5000));
	ASSERT_EQ(0, sh("rmmod snap"));
	ASSERT_FALSE(loaded("snap"));
	fd = udp_socket(AF_SNAP, AF_INET);
	EXPECT_GE(fd, 0);
	close(fd);
	EXPECT_TRUE(loaded("snap"));
	/* the machine's own, with its parameters, and its network */
	EXPECT_EQ(0, sh("rmmod snap"));
	ASSERT_EQ(0, module_load());
	EXPECT_EQ(0, netdev_up());
}

TEST_HARNESS_MAIN
