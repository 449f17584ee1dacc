// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel tells of single messages, beside them and on the error queue:
 * time stamps of software and hardware, and the completions of MSG_ZEROCOPY.
 *
 * Machines: copy-2
 */

#define _GNU_SOURCE
#include <inttypes.h>
#include <time.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <sys/time.h>

#include "conf_socket.h"

#define MESSAGES	3
#define NO_STAMP	0ull

/* What recvmsg() told, and what the control messages say. */
struct told {
	ssize_t bytes;
	uint64_t software;		/* ns, or NO_STAMP */
	uint64_t hardware;
	struct sock_extended_err err;	/* ee_origin is 0 if there was none */
};

static uint64_t ns_of(const struct timespec *ts)
{
	return ts->tv_sec * 1000000000ull + ts->tv_nsec;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ns_of(&ts);
}

static void read_control(struct told *t, const struct cmsghdr *c)
{
	const void *data = CMSG_DATA(c);

	if (c->cmsg_level != SOL_SOCKET) {
		memcpy(&t->err, data, sizeof(t->err));
	} else if (c->cmsg_type == SCM_TIMESTAMP) {
		const struct timeval *tv = data;

		/* it rounds down, and is compared with what does not */
		t->software = tv->tv_sec * 1000000000ull + tv->tv_usec * 1000 + 999;
	} else if (c->cmsg_type == SCM_TIMESTAMPNS) {
		t->software = ns_of(data);
	} else if (c->cmsg_type == SCM_TIMESTAMPING) {
		const struct scm_timestamping *all = data;

		t->software = ns_of(&all->ts[0]);
		t->hardware = ns_of(&all->ts[2]);
	}
}

static struct told listen_to(int fd, char *back, size_t length, int flags)
{
	char control[512];
	struct iovec iov = { back, length };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct told t = { .bytes = recvmsg(fd, &msg, flags) };
	struct cmsghdr *c;

	if (t.bytes >= 0)
		for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c))
			read_control(&t, c);
	return t;
}

static int stamping(int fd, int flags)
{
	return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof(flags));
}

/* ---- Stamps of receiving ------------------------------------------------ */

/* The kernel begins to stamp a little after it was asked to. */
static void stamp_comes(struct __test_metadata *_metadata,
			FIXTURE_DATA(sock) *self, int name, int value)
{
	uint64_t end = now_ms() + PATIENCE, before;
	int none = 0;
	struct told t;

	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, name, &value, sizeof(value)));
	do {
		before = now_ns();
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
		t = listen_to(self->rx, self->back, MESSAGE, MSG_WAITALL);
		ASSERT_EQ(MESSAGE, t.bytes);
	} while (t.software == NO_STAMP && now_ms() < end);
	EXPECT_LE(before, t.software);
	EXPECT_LE(t.software, now_ns());
	EXPECT_EQ(NO_STAMP, t.hardware);
	EXPECT_EQ(-1, differs(self->back, MESSAGE, 0));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, name, &none, sizeof(none)));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	t = listen_to(self->rx, self->back, MESSAGE, MSG_WAITALL);
	EXPECT_EQ(NO_STAMP, t.software);
}

TEST_F(sock, received)
{
	stamp_comes(_metadata, self, SO_TIMESTAMP, 1);
	stamp_comes(_metadata, self, SO_TIMESTAMPNS, 1);
	stamp_comes(_metadata, self, SO_TIMESTAMPING,
		    SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE);
	if (variant->region)
		EXPECT_LE(6, by_reference(self->tx));
}

TEST_F(sock, last_received)
{
	int control[2], err[2];
	struct timeval tv;
	uint64_t before;

	ASSERT_EQ(0, conf_control_pair(control));
	EXPECT_EQ(ENOENT, outcome(ioctl(self->rx, SIOCGSTAMP_OLD, &tv)));
	EXPECT_EQ(ENOENT, outcome(ioctl(control[0], SIOCGSTAMP_OLD, &tv)));
	before = now_ns();
	ASSERT_EQ(MESSAGE, send(control[1], self->p, MESSAGE, 0));
	ASSERT_EQ(MESSAGE, recv(control[0], self->back, MESSAGE, MSG_WAITALL));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	err[1] = outcome(ioctl(control[0], SIOCGSTAMP_OLD, &tv));
	err[0] = outcome(ioctl(self->rx, SIOCGSTAMP_OLD, &tv));
	EXPECT_EQ(err[1], err[0]);
	EXPECT_EQ(err[0] ?: EFAULT, outcome(ioctl(self->rx, SIOCGSTAMP_OLD, NULL)));
	if (!err[0])
		EXPECT_LE(before / 1000, tv.tv_sec * 1000000ull + tv.tv_usec);
	close(control[0]);
	close(control[1]);
}

/* ---- Stamps of sending -------------------------------------------------- */

#define TX_SOFTWARE	(SOF_TIMESTAMPING_TX_SCHED |				\
			 SOF_TIMESTAMPING_TX_SOFTWARE |				\
			 SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID |	\
			 SOF_TIMESTAMPING_OPT_TSONLY)
#define HARDWARE	(SOF_TIMESTAMPING_TX_HARDWARE |				\
			 SOF_TIMESTAMPING_RX_HARDWARE |				\
			 SOF_TIMESTAMPING_RAW_HARDWARE)

/* All the stamps of some messages: when each was scheduled, sent, acknowledged. */
struct stamps {
	uint64_t at[3][MESSAGES];
	int again;	/* of what TCP sends twice, to a slow peer: the first counts */
	int others;
};

static struct stamps collect(int fd, int want, uint32_t bytes_per_id)
{
	static const int kinds[] = { SCM_TSTAMP_SCHED, SCM_TSTAMP_SND,
				     SCM_TSTAMP_ACK };
	struct stamps s = { .others = 0 };
	char none[64];

	while (want) {
		struct told t;
		uint32_t id;
		int kind;

		if (!(await(fd, 0) & POLLERR))
			break;
		t = listen_to(fd, none, sizeof(none), MSG_ERRQUEUE);
		id = t.err.ee_data / bytes_per_id;
		for (kind = 0; kind < 3 && kinds[kind] != t.err.ee_info; kind++)
			;
		if (t.bytes || t.err.ee_origin != SO_EE_ORIGIN_TIMESTAMPING ||
		    t.err.ee_errno != ENOMSG || kind == 3 || id >= MESSAGES ||
		    t.hardware) {
			s.others++;
		} else if (s.at[kind][id]) {
			s.again++;
			continue;
		} else {
			s.at[kind][id] = t.software;
		}
		want--;
	}
	while (await(fd, POLLOUT) & POLLERR) {
		listen_to(fd, none, sizeof(none), MSG_ERRQUEUE | MSG_DONTWAIT);
		s.again++;
	}
	return s;
}

/* Of a stream they name the last byte, and there is one more. */
static void sent_with(struct __test_metadata *_metadata,
		      const FIXTURE_VARIANT(sock) *variant, int tx, int rx,
		      const char *p, char *back)
{
	bool stream = variant->type == SOCK_STREAM;
	int kinds = stream ? 3 : 2, i, j;
	uint64_t before = now_ns(), last;
	struct stamps s;

	ASSERT_EQ(0, stamping(tx, TX_SOFTWARE | HARDWARE |
			      (stream ? SOF_TIMESTAMPING_TX_ACK : 0)));
	for (i = 0; i < MESSAGES; i++) {
		ASSERT_EQ(MESSAGE, send(tx, p, MESSAGE, 0));
		EXPECT_TRUE(arrives(rx, back, MESSAGE, 0));
	}
	s = collect(tx, kinds * MESSAGES, stream ? MESSAGE : 1);
	EXPECT_EQ(0, s.others);
	EXPECT_TRUE(!s.again || (stream && tcp_info_of(tx).tcpi_total_retrans));
	for (i = 0; i < MESSAGES; i++)
		for (last = before, j = 0; j < kinds; j++) {
			EXPECT_LE(last, s.at[j][i])
				TH_LOG("stamp %d of message %d", j, i);
			last = s.at[j][i];
		}
	EXPECT_LE(last, now_ns());
	ASSERT_EQ(0, stamping(tx, 0));
	if (variant->region) {
		EXPECT_EQ(stream ? 0 : MESSAGES, by_reference(tx));
		EXPECT_EQ(stream ? MESSAGES : 0,
			  sock_stats(tx).copied_msgs[SNAP_COPY_FLAGS]);
	}
}

/* Deviation: a stream that is stamped copies. */
TEST_F(sock, sent)
{
	sent_with(_metadata, variant, self->tx, self->rx, self->p, self->back);
}

/* With a stamp the packet comes back: of a stream, the last one. */
TEST_F(sock, sent_bytes)
{
	char *was = malloc(MESSAGE);
	struct told t;

	ASSERT_NE(NULL, was);
	fill(was, MESSAGE, 0);
	ASSERT_EQ(0, stamping(self->tx, TX_SOFTWARE & ~(SOF_TIMESTAMPING_TX_SCHED |
			      SOF_TIMESTAMPING_OPT_TSONLY)));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	memset(self->p, POISON, LENGTH);
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	ASSERT_TRUE(await(self->tx, 0) & POLLERR);
	t = listen_to(self->tx, self->back, LENGTH, MSG_ERRQUEUE);
	EXPECT_EQ(SO_EE_ORIGIN_TIMESTAMPING, t.err.ee_origin);
	ASSERT_GE(t.bytes, (ssize_t)PAGE);
	EXPECT_EQ(0, memcmp(self->back + t.bytes - PAGE, was + MESSAGE - PAGE, PAGE));
	free(was);
}

/* The device has no stamps of its own, and says so. */
TEST_F(sock, by_device)
{
	int port = variant->type == SOCK_STREAM ? host_stream_port() :
						  host_echo_port();
	bool six = variant->family == AF_INET6;
	int fd = conf_socket(), control = conf_control();
	struct ifreq ifr = { .ifr_name = NETDEV };
	struct hwtstamp_config config = { .tx_type = HWTSTAMP_TX_ON };
	union address at;
	socklen_t length;

	ifr.ifr_data = (void *)&config;
	EXPECT_EQ(outcome(ioctl(control, SIOCSHWTSTAMP, &ifr)),
		  outcome(ioctl(fd, SIOCSHWTSTAMP, &ifr)));
	EXPECT_EQ(EOPNOTSUPP, outcome(ioctl(fd, SIOCGHWTSTAMP, &ifr)));
	close(control);
	if (!port)
		SKIP(return, "no peer on the host");
	if (variant->region)
		ASSERT_EQ(0, set_copybreak(fd, 0));
	ASSERT_EQ(0, set_timeout(fd, PATIENCE));
	length = address_set(&at, variant->family, six ? HOST6 : HOST4, port);
	ASSERT_EQ(0, connect(fd, &at.sa, length));
	sent_with(_metadata, variant, fd, fd, self->p, self->back);

	/* hardware alone: the message is there and back, and no stamp */
	ASSERT_EQ(0, stamping(fd, HARDWARE));
	ASSERT_EQ(MESSAGE, send(fd, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(fd, self->back, MESSAGE, 0));
	EXPECT_EQ(EAGAIN, outcome(listen_to(fd, self->back, 100,
					    MSG_ERRQUEUE | MSG_DONTWAIT).bytes));
	close(fd);
}

#define TRACING		"/sys/kernel/tracing/"

/* Of the first `n` packets: when was the doorbell answered, in us; what there was. */
static int answered(uint64_t *at, int n)
{
	FILE *trace = fopen(TRACING "trace", "r");
	uint64_t seconds, us;
	char line[256];
	int found = 0;

	while (trace && found < n && fgets(line, sizeof(line), trace))
		if (sscanf(strstr(line, "] ") ?: "", "] %*s %" SCNu64 ".%" SCNu64
			   ": snap_xmit: dev=" NETDEV, &seconds, &us) == 2)
			at[found++] = seconds * 1000000 + us;
	if (trace)
		fclose(trace);
	return found;
}

/*
 * Before the device has the packet: its answer may be there before the doorbell
 * returns.  Trace events have the clock of the stamps, as long as TAI is UTC.
 */
TEST(stamped_before_the_doorbell)
{
	int fd = udp_socket(AF_INET, AF_INET), i, late = 0;
	uint64_t at[MESSAGES] = { 0 };
	char message[100] = "";
	union address to;
	struct stamps s;

	if (!host_sink_port())
		SKIP(return, "no peer on the host");
	ASSERT_EQ(0, connect(fd, &to.sa, address_set(&to, AF_INET, HOST4,
						     host_sink_port())));
	ASSERT_EQ(0, sh("ping -q -c 1 -W 5 " HOST4 " >/dev/null"));
	ASSERT_EQ(0, stamping(fd, TX_SOFTWARE & ~SOF_TIMESTAMPING_TX_SCHED));
	ASSERT_EQ(0, write_text(TRACING "trace_clock", "tai"));
	ASSERT_EQ(0, write_text(TRACING "events/snap/snap_xmit/enable", "1"));
	for (i = 0; i < MESSAGES; i++)
		EXPECT_EQ(100, send(fd, message, 100, 0));
	s = collect(fd, MESSAGES, 1);
	EXPECT_EQ(0, write_text(TRACING "events/snap/snap_xmit/enable", "0"));
	EXPECT_EQ(MESSAGES, answered(at, MESSAGES));
	EXPECT_EQ(0, write_text(TRACING "trace_clock", "local"));
	EXPECT_EQ(0, s.others);
	for (i = 0; i < MESSAGES; i++) {
		EXPECT_LT(0, s.at[1][i]);
		late += s.at[1][i] / 1000 > at[i];
	}
	EXPECT_EQ(0, late);
	close(fd);
}

/* ---- MSG_ZEROCOPY ------------------------------------------------------- */

/* What the completions of so many calls say, or -1: their ee_code. */
static int completed(int fd, uint32_t calls)
{
	uint32_t next = 0;
	int code = -1;

	while (next < calls && await(fd, 0) & POLLERR) {
		struct told t = listen_to(fd, NULL, 0, MSG_ERRQUEUE);

		if (t.err.ee_origin != SO_EE_ORIGIN_ZEROCOPY || t.err.ee_errno ||
		    t.err.ee_info != next || t.err.ee_data >= calls)
			return -1;
		next = t.err.ee_data + 1;
		code = t.err.ee_code;
	}
	return next == calls ? code : -1;
}

static int zerocopy_on(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
}

TEST_F(sock, zerocopy)
{
	int tx[2] = { self->tx }, rx[2] = { self->rx }, fd[2], code[2], i, j;
	char *plain = malloc(MESSAGE);

	ASSERT_NE(NULL, plain);
	fill(plain, MESSAGE, 0);
	ASSERT_EQ(0, conf_control_pair(fd));
	rx[1] = fd[0];
	tx[1] = fd[1];
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, zerocopy_on(tx[i]));
		for (j = 0; j < MESSAGES; j++) {
			ASSERT_EQ(MESSAGE, send(tx[i], plain, MESSAGE, MSG_ZEROCOPY));
			EXPECT_TRUE(arrives(rx[i], self->back, MESSAGE, 0));
		}
		code[i] = completed(tx[i], MESSAGES);
		EXPECT_EQ(EAGAIN, outcome(recv(tx[i], self->back, 1,
					       MSG_ERRQUEUE | MSG_DONTWAIT)));
		close(rx[i]);
	}
	EXPECT_NE(-1, code[0]);
	EXPECT_EQ(code[1], code[0]);
	if (variant->domain == AF_SNAP)
		EXPECT_EQ(MESSAGES, sock_stats(self->tx).copied_msgs[SNAP_COPY_FLAGS]);
	close(tx[1]);
	free(plain);
}

/* A region cannot be pinned: an ordinary socket fails with it as well. */
TEST_F(sock, zerocopy_of_a_region)
{
	int fd[2], err = variant->region ? EFAULT : 0;

	ASSERT_EQ(0, conf_control_pair(fd));
	ASSERT_EQ(0, zerocopy_on(fd[1]));
	/* not asked for on this one: the flag is without effect */
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, MSG_ZEROCOPY));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	if (variant->region) {
		EXPECT_EQ(0, by_reference(self->tx));
		EXPECT_EQ(1, sock_stats(self->tx).copied_msgs[SNAP_COPY_FLAGS]);
	}
	ASSERT_EQ(0, zerocopy_on(self->tx));
	EXPECT_EQ(err, outcome(send(fd[1], self->p, MESSAGE, MSG_ZEROCOPY)));
	EXPECT_EQ(err, outcome(send(self->tx, self->p, MESSAGE, MSG_ZEROCOPY)));
	close(fd[0]);
	close(fd[1]);
}

TEST_HARNESS_MAIN
