// SPDX-License-Identifier: GPL-2.0-only
/*
 * A 32-bit program: its ioctls, sockets and mappings do what those of 64-bit
 * ones do.  It has no C library, which few machines have for it.
 */

#include <asm/ioctls.h>
#include <asm/unistd_32.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/in.h>
#include <linux/mman.h>
#include <linux/sockios.h>
#include <linux/uio.h>
#include <stdbool.h>
#include <stdint.h>

#include "snap.h"

#define PAGE		4096u
#define LENGTH		20000u
#define REGION_BYTES	(16 * PAGE)
#define AF_INET		2
#define SOCK_DGRAM	2
#define PROT_RW		(PROT_READ | PROT_WRITE)

/* Of the 32-bit ABI: what its C library calls struct msghdr. */
struct msghdr32 {
	void *name;
	int namelen;
	struct iovec *iov;
	unsigned int iovlen;
	void *control;
	unsigned int controllen;
	unsigned int flags;
};

/* As a C library, the compiler may call these. */
void *memset(void *p, int c, unsigned int n)
{
	volatile char *to = p;

	while (n--)
		*to++ = c;
	return p;
}

static long call(long number, long a, long b, long c, long d, long e, long f)
{
	struct {
		long number, a, f;
	} in = { number, a, f };
	long ret;

	/* the sixth argument goes where the frame pointer is */
	asm volatile("push %%ebp\n\t"
		     "push %%ebx\n\t"
		     "mov 4(%%eax), %%ebx\n\t"
		     "mov 8(%%eax), %%ebp\n\t"
		     "mov (%%eax), %%eax\n\t"
		     "int $0x80\n\t"
		     "pop %%ebx\n\t"
		     "pop %%ebp"
		     : "=a" (ret)
		     : "a" (&in), "c" (b), "d" (c), "S" (d), "D" (e)
		     : "memory");
	return ret;
}

#define CALL3(n, a, b, c)	call(__NR_##n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define CALL5(n, a, b, c, d, e)	\
	call(__NR_##n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

static int device, region, sender, receiver;
static char *memory;
static char back[LENGTH];

static void fill(char seed)
{
	unsigned int i;

	for (i = 0; i < REGION_BYTES; i++)
		memory[i] = seed + i % 251;
}

static bool device_tells(void)
{
	struct snap_info info = { .size = sizeof(info) };
	struct snap_stats stats = { .size = sizeof(stats) };

	device = CALL3(open, "/dev/snap", O_RDWR, 0);
	return device >= 0 && !CALL3(ioctl, device, SNAP_IOC_INFO, &info) &&
	       info.abi_version == SNAP_ABI_VERSION &&
	       info.frame_bytes == PAGE && info.pool_frames &&
	       !CALL3(ioctl, device, SNAP_IOC_STATS, &stats) &&
	       stats.size == sizeof(stats) && stats.ncounters;
}

static bool region_is_made(void)
{
	struct snap_region_args args = {
		.size = sizeof(args),
		.length = REGION_BYTES,
	};
	long at;

	region = CALL3(ioctl, device, SNAP_IOC_REGION_CREATE, &args);
	if (region < 0)
		return false;
	at = call(__NR_mmap2, 0, REGION_BYTES, PROT_RW, MAP_SHARED, region, 0);
	if (at < 0 && at > -PAGE)
		return false;
	memory = (char *)at;
	fill(1);
	return memory[REGION_BYTES - 1] == (char)(1 + (REGION_BYTES - 1) % 251);
}

/* A clone of the region as it is, a difference, a conflict with its place. */
static bool snapshots_work(void)
{
	struct snap_snapshot_args snap = { .size = sizeof(snap) };
	struct snap_object_info info = { .size = sizeof(info) };
	struct snap_region_args clone = { .size = sizeof(clone) };
	uint64_t place[4] = { ~0ull, ~0ull, ~0ull, ~0ull };
	struct snap_merge_args merge = { .size = sizeof(merge) };
	struct snap_diff_args diff = {
		.size = sizeof(diff),
		.pages = (uintptr_t)place,
		.npages = 4,
	};
	int base, from, copy;

	base = CALL3(ioctl, region, SNAP_IOC_SNAPSHOT, &snap);
	memory[3 * PAGE] ^= 1;
	from = CALL3(ioctl, region, SNAP_IOC_SNAPSHOT, &snap);
	memory[3 * PAGE] ^= 2;
	copy = CALL3(ioctl, base, SNAP_IOC_CLONE, &clone);
	diff.other = from;
	if (base < 0 || from < 0 || copy < 0 ||
	    CALL3(ioctl, base, SNAP_IOC_OBJECT_INFO, &info) ||
	    info.kind != SNAP_OBJECT_SNAPSHOT || info.length != REGION_BYTES ||
	    CALL3(ioctl, base, SNAP_IOC_DIFF, &diff) || diff.npages != 1 ||
	    place[0] != 3 * PAGE)
		return false;
	merge.base = base;
	merge.from = from;
	merge.conflicts = (uintptr_t)(place + 1);
	merge.nconflicts = 3;
	if (CALL3(ioctl, region, SNAP_IOC_MERGE, &merge) != -ESTALE ||
	    merge.nconflicts != 1 || place[1] != 3 * PAGE)
		return false;
	merge.nconflicts = 0;
	return !CALL3(ioctl, copy, SNAP_IOC_MERGE, &merge) &&
	       !CALL3(close, copy, 0, 0) && !CALL3(close, from, 0, 0) &&
	       !CALL3(close, base, 0, 0);
}

static bool sockets_are_connected(void)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK),
	};
	int len = sizeof(at);

	receiver = CALL3(socket, AF_INET, SOCK_DGRAM, 0);
	sender = CALL3(socket, AF_SNAP, SOCK_DGRAM, SNAPPROTO_IPV4);
	if (receiver < 0 || sender < 0 ||
	    CALL3(bind, receiver, &at, sizeof(at)) ||
	    CALL3(getsockname, receiver, &at, &len))
		return false;
	return !CALL3(connect, sender, &at, sizeof(at));
}

static bool options_work(void)
{
	int value = 5000, len = sizeof(value);

	if (CALL5(setsockopt, sender, SOL_SNAP, SNAP_COPYBREAK, &value, len))
		return false;
	value = 0;
	return !CALL5(getsockopt, sender, SOL_SNAP, SNAP_COPYBREAK, &value, &len) &&
	       value == 5000 && len == sizeof(value);
}

/* A header from the stack and a payload from the region. */
static bool messages_go_by_reference(void)
{
	struct snap_sock_stats stats;
	char header[100];
	struct iovec iov[] = {
		{ header, sizeof(header) },
		{ memory, LENGTH - sizeof(header) },
	};
	struct msghdr32 msg = { .iov = iov, .iovlen = 2 };
	int len = sizeof(stats), queued = 0;
	unsigned int i;

	fill(7);
	memset(header, 9, sizeof(header));
	if (CALL3(sendmsg, sender, &msg, 0) != LENGTH)
		return false;
	fill(8);	/* too late */
	if (CALL3(ioctl, receiver, SIOCINQ, &queued) || queued != LENGTH ||
	    call(__NR_recvfrom, receiver, (long)back, LENGTH, 0, 0, 0) != LENGTH ||
	    CALL5(getsockopt, sender, SOL_SNAP, SNAP_SOCK_STATS, &stats, &len))
		return false;
	for (i = sizeof(header); i < LENGTH; i++)
		if (back[i] != (char)(7 + (i - sizeof(header)) % 251))
			return false;
	return back[0] == 9 && len == sizeof(stats) && stats.size == len &&
	       stats.tx_ref_bytes == LENGTH - sizeof(header) &&
	       stats.copied_bytes[SNAP_COPY_SHORT] == sizeof(header);
}

/* The ioctls of sockets, which the inner family knows. */
static bool socket_ioctls_work(void)
{
	int queued = -1;

	return !CALL3(ioctl, sender, SIOCOUTQ, &queued) && !queued &&
	       !CALL3(ioctl, sender, SIOCINQ, &queued) && !queued &&
	       CALL3(ioctl, sender, SNAP_IOC_INFO, &queued) < 0;
}

static const struct {
	const char *name;
	bool (*run)(void);
} cases[] = {
	{ "the device tells of itself", device_tells },
	{ "a region is made and mapped", region_is_made },
	{ "snapshots, clones, differences and conflicts", snapshots_work },
	{ "sockets are made and connected", sockets_are_connected },
	{ "options of SOL_SNAP", options_work },
	{ "sendmsg() goes by reference", messages_go_by_reference },
	{ "ioctls of sockets", socket_ioctls_work },
};

#define CASES	(sizeof(cases) / sizeof(cases[0]))

static void say(const char *text)
{
	unsigned int n = 0;

	while (text[n])
		n++;
	CALL3(write, 1, text, n);
}

__attribute__((force_align_arg_pointer)) void _start(void)
{
	char number[] = "0";
	unsigned int i;
	bool all = true;

	number[0] += CASES;
	say("TAP version 13\n1..");
	say(number);
	say("\n");
	for (i = 0; i < CASES; i++) {
		/* each needs what those before it have made */
		all = all && cases[i].run();
		say(all ? "ok " : "not ok ");
		number[0] = '1' + i;
		say(number);
		say(" ");
		say(cases[i].name);
		say("\n");
	}
	CALL3(exit_group, !all, 0, 0);
	__builtin_unreachable();
}
