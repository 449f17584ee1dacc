// SPDX-License-Identifier: GPL-2.0-only
/*
 * The function is reset, loses its driver, or stops answering, while messages are
 * unread and are looked at all the time: what is read is what was sent, or an error, and never
 * the zeros that memory reads as which is away (promise 8).  The frames come home
 * and the driver can be bound again.
 *
 * Machines: share-2 debug newest
 * Paths: thread-* main-* *-share-*
 */

#define _GNU_SOURCE
#include <linux/tls.h>
#include <netinet/tcp.h>

#include "hoard.h"
#include "inbox.h"
#include "kselftest_harness.h"

#define LENGTH		INBOX_LENGTH
#define LOST		"does not answer: given up"

FIXTURE(reset)
{
	struct inboxes in;
};

FIXTURE_SETUP(reset)
{
	ASSERT_EQ(0, inboxes_open(&self->in));
}

/* Nothing is left behind: a new binding gets a device without frames in use. */
FIXTURE_TEARDOWN(reset)
{
	EXPECT_EQ(0, pci_bind_again(self->in.pci));
	inboxes_close(&self->in);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

TEST_F(reset, turns_no_byte_to_zero)
{
	ASSERT_EQ(0, pci_reset(self->in.pci));
	EXPECT_TRUE(inboxes_stop(&self->in));
	EXPECT_TRUE(inboxes_have_all(&self->in));
	/* whoever sets it up again is told */
	EXPECT_NE(0, sh("ip link set " NETDEV " up 2>/dev/null"));
}

/*
 * As before a reset, but other processors look at what is unread meanwhile: see
 * pci_reset().
 */
TEST_F(reset, unbinding_turns_no_byte_to_zero)
{
	ASSERT_EQ(0, pci_unbind(self->in.pci));
	EXPECT_TRUE(inboxes_stop(&self->in));
	EXPECT_TRUE(inboxes_have_all(&self->in));
	EXPECT_EQ(0, pci_bind(self->in.pci));
}

/*
 * The memory goes without a word, as that of a device that is pulled out: what is
 * sent next finds out.  Who looks before that sees what is there; after it, an
 * error.
 */
TEST_F(reset, loss_is_an_error)
{
	union address to;
	socklen_t length = address_set(&to, AF_INET, HOST4, 9);
	int fd = udp_socket(AF_INET, AF_INET), before = log_count(LOST);

	EXPECT_TRUE(inboxes_stop(&self->in));
	ASSERT_LE(0, before);
	ASSERT_EQ(0, pci_memory_decoding(self->in.pci, false));
	sendto(fd, "x", 1, 0, &to.sa, length);
	close(fd);
	EXPECT_TRUE(log_reaches(LOST, before + 1));
	EXPECT_EQ(0, sh("for i in $(seq 50); do ip link show " NETDEV
			" | grep -q 'state DOWN' && exit 0; sleep 0.1; done; exit 1"));
	sleep_ms(500);
	EXPECT_TRUE(inboxes_have_errors(&self->in));
	EXPECT_EQ(before + 1, log_count(LOST));
	EXPECT_EQ(0, pci_memory_decoding(self->in.pci, true));
}

/*
 * fd[0] decrypts what fd[1] has sent by reference, which looks like records of TLS, the
 * first of RECORD bytes with its head.
 */
#define RECORD		(5 + 0x4000)
static int tls_make(int *fd, struct region *r, size_t length)
{
	struct tls12_crypto_info_aes_gcm_128 key = {
		.info.version = TLS_1_2_VERSION,
		.info.cipher_type = TLS_CIPHER_AES_GCM_128,
	};
	static const unsigned char head[] = { 23, 3, 3, 0x40, 0 };

	if (hoard_pair(AF_INET, fd))
		return -1;
	memcpy(r->p, head, sizeof(head));
	if (setsockopt(fd[0], SOL_TCP, TCP_ULP, "tls", sizeof("tls")) ||
	    setsockopt(fd[0], SOL_TLS, TLS_RX, &key, sizeof(key)))
		return -errno;
	return send(fd[1], r->p, length, 0) == (ssize_t)length &&
	       sock_stats(fd[1]).tx_ref_msgs ? 0 : -1;
}

/* TLS keeps its place in what has arrived, which nobody may take away from it. */
FIXTURE(tls)
{
	struct inboxes in;
};

FIXTURE_VARIANT(tls)
{
	size_t length;
	int error;
};

FIXTURE_VARIANT_ADD(tls, whole_record) {
	.length = LENGTH,
	.error = EBADMSG,
};

/* whose reader would wait for the rest */
FIXTURE_VARIANT_ADD(tls, part_of_a_record) {
	.length = RECORD - 1,
	.error = EIO,
};

FIXTURE_SETUP(tls)
{
	ASSERT_EQ(0, inboxes_open(&self->in));
}

FIXTURE_TEARDOWN(tls)
{
	EXPECT_EQ(0, pci_bind_again(self->in.pci));
	inboxes_close(&self->in);
	EXPECT_EQ(0, wait_no_guest_frames(5000));
}

TEST_F(tls, loss)
{
	int fd[2], err, before = log_count(LOST);
	static char back[LENGTH];

	EXPECT_TRUE(inboxes_stop(&self->in));
	err = tls_make(fd, &self->in.r, variant->length);
	if (err == -ENOENT)
		SKIP(return, "this kernel has no TLS");
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, pci_memory_decoding(self->in.pci, false));
	EXPECT_NE(0, sh("ping -q -c 1 -W 1 " HOST4 " >/dev/null 2>&1"));
	EXPECT_TRUE(log_reaches(LOST, before + 1));
	sleep_ms(500);
	EXPECT_EQ(-1, recv(fd[0], back, LENGTH, MSG_DONTWAIT));
	EXPECT_EQ(variant->error, errno);
	if (variant->error == EIO)
		EXPECT_EQ(0, recv(fd[0], back, LENGTH, MSG_DONTWAIT));
	close(fd[0]);
	close(fd[1]);
	EXPECT_EQ(0, pci_memory_decoding(self->in.pci, true));
}

TEST_HARNESS_MAIN
