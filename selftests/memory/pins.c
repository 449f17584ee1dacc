// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame that somebody wants to pin for long stays where it is, also if it is
 * unmapped while the kernel is about to move it: he gets EBUSY, and who else has
 * the frame keeps his reference.
 *
 * Machines: share-2 copy-1 debug newest
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "snap_test_util.h"

/* The test module lies beside the module; a descriptor, or -1. */
static int module_open(void)
{
	char path[512] = "";
	const char *cmd = ". /run/snap-vm/settings; echo ${VM_MODULE%/*}/snap_test.ko";
	FILE *f = popen(cmd, "r");

	if (!f)
		return -1;
	if (!fgets(path, sizeof(path), f))
		path[0] = 0;
	pclose(f);
	path[strcspn(path, "\n")] = 0;
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Pins the page at p as the test module can; 0, or -1 and errno. */
static int pin_by(int module, const void *p)
{
	char args[64];

	snprintf(args, sizeof(args), "run=pin at=%#lx", (unsigned long)p);
	if (syscall(SYS_finit_module, module, args, 0))
		return -1;
	return syscall(SYS_delete_module, "snap_test", O_NONBLOCK);
}

TEST(unmapped_meanwhile)
{
	int module = module_open(), snapshot;
	struct region r;
	const char *p;

	if (module < 0)
		SKIP(return, "snap_test.ko is not built");
	ASSERT_EQ(0, region_make(&r, PAGE));
	fill(r.p, PAGE, 1);
	snapshot = snapshot_fd(r.fd, NULL);
	ASSERT_LE(0, snapshot);
	p = snapshot_map(snapshot, PAGE);
	ASSERT_NE(MAP_FAILED, p);
	ASSERT_EQ(-1, differs(p, PAGE, 1));

	EXPECT_EQ(0, pin_by(module, p))
		TH_LOG("%m, see the kernel's log");
	EXPECT_EQ(-1, differs(p, PAGE, 1));

	close(module);
	munmap((void *)p, PAGE);
	close(snapshot);
	region_drop(&r);
	EXPECT_EQ(0, wait_no_frames_out(5000));
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

TEST_HARNESS_MAIN
