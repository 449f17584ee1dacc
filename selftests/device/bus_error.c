// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bus reports an error of the device while messages are unread and are looked at
 * all the time: what is read is what was sent, or an error (promise 8), and the driver
 * can be bound again, although the reset of the link took the addresses of the device.
 * In a machine of its own with one processor: in QEMU 10.0 others may use a stale
 * entry of their TLB while one moves the BARs, as often as it happens here.
 *
 * Machines: share-1
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>

#include "inbox.h"
#include "kselftest_harness.h"

#define RECOVERED	"device recovery successful"
#define GIVEN_UP	"bus error: bind the driver again"

FIXTURE(bus_error)
{
	struct inboxes in;
	int recovered;		/* so far, as below */
	int given_up;
};

FIXTURE_SETUP(bus_error)
{
	ASSERT_EQ(0, inboxes_open(&self->in));
	self->recovered = log_count(RECOVERED);
	self->given_up = log_count(GIVEN_UP);
	ASSERT_LE(0, self->given_up);
}

FIXTURE_TEARDOWN(bus_error)
{
	EXPECT_EQ(0, pci_bind_again(self->in.pci));
	inboxes_close(&self->in);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

/* Whoever sets it up is told to bind the driver first. */
static bool stays_down(void)
{
	return sh("ip link set " NETDEV " up 2>/dev/null");
}

/* As the root port reports it for our device; with what follows, recovery. */
static int report(const char *pci, uint32_t status)
{
	/* struct aer_error_inj of the kernel, which has no header for it */
	struct {
		uint8_t bus, device, function;
		uint32_t uncorrectable, correctable, header[4], domain;
	} error = { .uncorrectable = status };
	int fd, n;

	if (sh("test -e /dev/aer_inject || modprobe -q aer_inject") ||
	    sscanf(pci, "%x:%hhx:%hhx.%hhx", &error.domain, &error.bus,
		   &error.device, &error.function) != 4)
		return -ENODEV;
	fd = open("/dev/aer_inject", O_WRONLY);
	n = write(fd, &error, sizeof(error)) == sizeof(error) ? 0 : -errno;
	close(fd);
	return n;
}

/* The link is frozen until it has been reset. */
TEST_F_TIMEOUT(bus_error, fatal, 120)
{
	ASSERT_EQ(0, report(self->in.pci, PCI_ERR_UNC_MALF_TLP));
	EXPECT_TRUE(log_reaches(RECOVERED, self->recovered + 1));
	EXPECT_EQ(self->given_up + 1, log_count(GIVEN_UP));
	EXPECT_TRUE(inboxes_stop(&self->in));
	EXPECT_TRUE(inboxes_have_all(&self->in));
	EXPECT_TRUE(stays_down());
	/* and once more: nobody has bound the driver meanwhile */
	ASSERT_EQ(0, report(self->in.pci, PCI_ERR_UNC_MALF_TLP));
	EXPECT_TRUE(log_reaches(RECOVERED, self->recovered + 2));
}

/* What does not stop the link stops nobody. */
TEST_F_TIMEOUT(bus_error, not_fatal, 120)
{
	ASSERT_EQ(0, report(self->in.pci, PCI_ERR_UNC_COMP_ABORT));
	EXPECT_TRUE(log_reaches(RECOVERED, self->recovered + 1));
	EXPECT_EQ(self->given_up, log_count(GIVEN_UP));
	EXPECT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	EXPECT_TRUE(inboxes_stop(&self->in));
	EXPECT_TRUE(inboxes_have_all(&self->in));
}

/* The memory does not answer any more when the error is reported. */
TEST_F_TIMEOUT(bus_error, memory_is_away, 120)
{
	EXPECT_TRUE(inboxes_stop(&self->in));
	ASSERT_EQ(0, pci_memory_decoding(self->in.pci, false));
	ASSERT_EQ(0, report(self->in.pci, PCI_ERR_UNC_MALF_TLP));
	EXPECT_TRUE(log_reaches(RECOVERED, self->recovered + 1));
	EXPECT_TRUE(inboxes_have_errors(&self->in));
}

/* In 6.12 no port of PCI Express says so; later ones do if the reset of a link fails. */
TEST_F_TIMEOUT(bus_error, for_good, 120)
{
	EXPECT_EQ(0, sh(". /run/snap-vm/settings; "
			"insmod $(dirname $VM_MODULE)/snap_test.ko run=failure && "
			"rmmod snap_test"));
	EXPECT_EQ(self->given_up + 1, log_count(GIVEN_UP));
	EXPECT_TRUE(inboxes_stop(&self->in));
	EXPECT_TRUE(inboxes_have_all(&self->in));
	EXPECT_TRUE(stays_down());
}

TEST_HARNESS_MAIN
