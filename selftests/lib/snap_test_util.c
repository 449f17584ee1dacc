// SPDX-License-Identifier: GPL-2.0-only
/* See snap_test_util.h. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/futex.h>
#include <linux/gen_stats.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "snap_test_util.h"

/* ---- The device --------------------------------------------------------- */

int dev_open(void)
{
	int fd = open("/dev/snap", O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int dev_ioctl(unsigned long request, void *arg)
{
	int ret, fd = dev_open();

	if (fd < 0)
		return fd;
	ret = ioctl(fd, request, arg);
	if (ret < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int dev_info(struct snap_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return dev_ioctl(SNAP_IOC_INFO, info);
}

int dev_stats(struct snap_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	return dev_ioctl(SNAP_IOC_STATS, stats);
}

uint64_t dev_counter(enum snap_counter counter)
{
	struct snap_stats stats;

	if (dev_stats(&stats) || stats.ncounters <= counter)
		return ~0ull;
	return stats.device[counter];
}

static uint64_t frames_out(void)
{
	struct snap_info info;

	return dev_info(&info) ? ~0ull : info.out_frames;
}

static uint64_t guest_frames(void)
{
	return dev_counter(SNAP_CTR_GUEST_FRAMES);
}

/*
 * TCP leaves packets that it has read to the processor which made them, and
 * that one frees them when it next receives a packet, whenever that is
 * (net.core.skb_defer_max): let each have one.
 */
static void packet_on_each_cpu(void)
{
	socklen_t length;
	union address at;
	cpu_set_t all, one;
	int cpu, fd = udp_on_loopback(AF_INET, &at, &length);

	sched_getaffinity(0, sizeof(all), &all);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		sched_setaffinity(0, sizeof(one), &one);
		sendto(fd, "", 1, 0, &at.sa, length);
	}
	sched_setaffinity(0, sizeof(all), &all);
	close(fd);
}

static uint64_t wait_zero(uint64_t (*level)(void), unsigned int ms)
{
	uint64_t end = now_ms() + ms, value;
	unsigned int tries;

	for (tries = 1; (value = level()) && now_ms() < end; tries++) {
		if (tries % 20 == 0)
			packet_on_each_cpu();
		sleep_ms(5);
	}
	return value;
}

static int ethtool(void *command)
{
	struct ifreq ifr = { .ifr_name = NETDEV, .ifr_data = command };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int ret = ioctl(fd, SIOCETHTOOL, &ifr);

	close(fd);
	return ret;
}

uint64_t ethtool_counter(const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ethtool_gstrings *names;
	struct ethtool_stats *stats;
	uint64_t value = ~0ull;
	unsigned int i;

	if (ethtool(&info)) {
		printf("Bail out! no counters\n");
		exit(1);
	}
	names = calloc(1, sizeof(*names) + info.n_stats * ETH_GSTRING_LEN);
	stats = calloc(1, sizeof(*stats) + info.n_stats * sizeof(uint64_t));
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_STATS;
	names->len = info.n_stats;
	stats->cmd = ETHTOOL_GSTATS;
	stats->n_stats = info.n_stats;
	if (!ethtool(names) && !ethtool(stats))
		for (i = 0; i < info.n_stats; i++)
			if (!strncmp((char *)names->data + i * ETH_GSTRING_LEN,
				     name, ETH_GSTRING_LEN))
				value = stats->data[i];
	free(names);
	free(stats);
	if (value == ~0ull) {
		/* whatever is compared with nothing would come out somehow */
		printf("Bail out! no counter %s\n", name);
		exit(1);
	}
	return value;
}

uint64_t wait_no_frames_out(unsigned int ms)
{
	return wait_zero(frames_out, ms);
}

uint64_t wait_no_guest_frames(unsigned int ms)
{
	return wait_zero(guest_frames, ms);
}

uint64_t wait_free_frames(uint64_t wanted, unsigned int ms)
{
	uint64_t end = now_ms() + ms;
	struct snap_info info;

	for (;;) {
		if (dev_info(&info))
			return 0;
		if (info.free_frames >= wanted || now_ms() >= end)
			return info.free_frames;
		sleep_ms(5);
	}
}

int quotas_bind(bool bind)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		return -1;
	if (bind)
		data[0].effective &= ~(1u << CAP_SYS_RESOURCE);
	else
		data[0].effective |= 1u << CAP_SYS_RESOURCE;
	return syscall(SYS_capset, &header, data);
}

/* ---- Regions ------------------------------------------------------------ */

static int region_fd_flags(size_t length, unsigned int hint,
			   unsigned int flags)
{
	struct snap_region_args args = {
		.size = sizeof(args),
		.flags = flags,
		.length = length,
		.hint = hint,
	};

	return dev_ioctl(SNAP_IOC_REGION_CREATE, &args);
}

int region_fd(size_t length, unsigned int hint)
{
	return region_fd_flags(length, hint, 0);
}

int region_map(struct region *r, int fd, size_t length)
{
	r->length = length;
	r->fd = fd;
	if (fd < 0)
		return fd;
	r->p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->p == MAP_FAILED) {
		int err = -errno;

		close(fd);
		return err;
	}
	return 0;
}

int region_make(struct region *r, size_t length)
{
	return region_map(r, region_fd(length, SNAP_HINT_NONE), length);
}

int region_make_sparse(struct region *r, size_t length)
{
	return region_map(r, region_fd_flags(length, SNAP_HINT_NONE,
					     SNAP_REGION_ARGS_SPARSE), length);
}

int memory_make(struct region *r, size_t length, bool region)
{
	if (region)
		return region_make(r, length);
	r->fd = -1;
	r->length = length;
	r->p = mmap(NULL, length, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return r->p == MAP_FAILED ? -errno : 0;
}

void region_drop(struct region *r)
{
	munmap(r->p, r->length);
	close(r->fd);
}

int regions_take_all(int *fds, int room)
{
	size_t pages = 1024;
	int n = 0;

	while (pages && n < room) {
		int fd = region_fd(pages * PAGE, SNAP_HINT_NONE);

		if (fd >= 0)
			fds[n++] = fd;
		else
			pages /= 2;
	}
	return n;
}

/* ---- Snapshots ---------------------------------------------------------- */

static int fd_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int snapshot_fd(int region, uint64_t *version)
{
	struct snap_snapshot_args args = { .size = sizeof(args) };
	int fd = fd_ioctl(region, SNAP_IOC_SNAPSHOT, &args);

	if (version)
		*version = args.version;
	return fd;
}

const char *snapshot_map(int snapshot, size_t length)
{
	return mmap(NULL, length, PROT_READ, MAP_SHARED, snapshot, 0);
}

int clone_make(struct region *r, int snapshot, size_t length)
{
	struct snap_region_args args = { .size = sizeof(args) };

	return region_map(r, fd_ioctl(snapshot, SNAP_IOC_CLONE, &args), length);
}

int commit(int region, int from, uint64_t *version)
{
	struct snap_commit_args args = {
		.size = sizeof(args),
		.from = from,
		.version = *version,
	};
	int err = fd_ioctl(region, SNAP_IOC_COMMIT, &args);

	*version = args.version;
	return err;
}

int merge(int region, int base, int from, uint64_t *conflicts,
	  uint32_t *nconflicts)
{
	struct snap_merge_args args = {
		.size = sizeof(args),
		.base = base,
		.from = from,
		.conflicts = (uintptr_t)conflicts,
		.nconflicts = *nconflicts,
	};
	int err = fd_ioctl(region, SNAP_IOC_MERGE, &args);

	*nconflicts = args.nconflicts;
	return err;
}

int discard(int region, uint64_t offset, uint64_t length)
{
	struct snap_discard_args args = {
		.size = sizeof(args),
		.offset = offset,
		.length = length,
	};

	return fd_ioctl(region, SNAP_IOC_DISCARD, &args);
}

int object_info(int fd, struct snap_object_info *info)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	return fd_ioctl(fd, SNAP_IOC_OBJECT_INFO, info);
}

int fdinfo_value(int fd, const char *key, char *value, size_t room)
{
	size_t n = strlen(key);
	char path[64], line[256];
	int found = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, n) || strncmp(line + n, ":\t", 2))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(value, room, "%s", line + n + 2);
		found = 0;
	}
	fclose(f);
	return found;
}

/* ---- Bytes -------------------------------------------------------------- */

static unsigned char pattern(size_t i, unsigned int seed)
{
	unsigned int x = (unsigned int)i * 2654435761u + seed * 40503u;
	unsigned char byte = (x >> 15) ^ (x >> 24);

	return byte == POISON ? 0x11 : byte;
}

void fill(void *p, size_t length, unsigned int seed)
{
	unsigned char *byte = p;
	size_t i;

	for (i = 0; i < length; i++)
		byte[i] = pattern(i, seed);
}

long differs(const void *p, size_t length, unsigned int seed)
{
	const unsigned char *byte = p;
	size_t i;

	for (i = 0; i < length; i++)
		if (byte[i] != pattern(i, seed))
			return (long)i;
	return -1;
}

/* The word of a stream that has the byte at that place: none is like another. */
static uint64_t stream_word(uint64_t at)
{
	return (at / 8 + 1) * 0x9e3779b97f4a7c15ull;
}

void fill_stream(void *p, size_t length, uint64_t at)
{
	unsigned char *byte = p;
	uint64_t word;

	while (length) {
		size_t skip = at % 8;
		size_t part = length < 8 - skip ? length : 8 - skip;

		word = stream_word(at);
		memcpy(byte, (unsigned char *)&word + skip, part);
		byte += part;
		at += part;
		length -= part;
	}
}

long differs_stream(const void *p, size_t length, uint64_t at)
{
	const unsigned char *byte = p;
	size_t done = 0;
	uint64_t word;

	while (done < length) {
		size_t skip = at % 8;
		size_t part = length - done < 8 - skip ? length - done : 8 - skip;

		word = stream_word(at);
		if (memcmp(byte + done, (unsigned char *)&word + skip, part))
			return (long)done;
		done += part;
		at += part;
	}
	return -1;
}

/* ---- The system --------------------------------------------------------- */

int send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = "f", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

int receive_fd(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(sock, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* By a child in this memory, not in a copy, which may lack what is mapped here. */
static bool access_is_fatal(char *p, bool store, int signal)
{
	pid_t pid = vfork();
	int status;

	if (!pid) {
		if (store)
			*(volatile char *)p = 1;
		else
			(void)*(volatile char *)p;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

bool store_is_fatal(char *p, int signal)
{
	return access_is_fatal(p, true, signal);
}

bool load_is_fatal(const char *p, int signal)
{
	return access_is_fatal((char *)p, false, signal);
}

static long futex(const char *p, int op, unsigned int value, unsigned int ms)
{
	struct timespec timeout = { ms / 1000, ms % 1000 * 1000000 };
	long ret = syscall(SYS_futex, (uintptr_t)p & ~3ul, op, value, &timeout,
			   NULL, 0);

	return ret < 0 ? -errno : ret;
}

long futex_wake(const char *p)
{
	return futex(p, FUTEX_WAKE, INT_MAX, 0);
}

long futex_wait(const char *p, unsigned int ms)
{
	return futex(p, FUTEX_WAIT, *(volatile unsigned int *)((uintptr_t)p & ~3ul),
		     ms);
}

bool futex_answers(const char *p)
{
	char byte = *(volatile const char *)p;	/* mapped, for the child, too */
	uint64_t until = now_ms() + 5000;
	pid_t pid = fork();
	int status = -1;

	(void)byte;
	if (!pid)
		_exit(futex_wait(p, 10) != -ETIMEDOUT || futex_wake(p) != 0);
	while (waitpid(pid, &status, WNOHANG) == 0 && now_ms() < until)
		sleep_ms(2);
	return status == 0;
}

int ioctl_errno(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		return errno;
	if (ret > 0)
		close(ret);
	return 0;
}

int mmap_errno(int fd, size_t length, int prot, int flags, off_t offset)
{
	void *p = mmap(NULL, length, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, length);
	return 0;
}

bool exec_is_denied(int fd, int prot)
{
	int err = mmap_errno(fd, PAGE, prot | PROT_EXEC, MAP_SHARED, 0);

	return err == EACCES || err == EPERM;
}

/* Without a program: emulated, ip(8) takes a fifth of a second. */
int network_of_lo(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd, err = 0;

	if (unshare(CLONE_NEWNET))
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo))
		err = -errno;
	close(fd);
	return err;
}

int sh(const char *format, ...)
{
	char command[1024];
	va_list ap;
	int status;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* The backlog that one qdisc's attributes tell of. */
static long qdisc_queued(struct nlmsghdr *n)
{
	struct tcmsg *tc = NLMSG_DATA(n);
	int room = NLMSG_PAYLOAD(n, sizeof(*tc)), inner;
	struct rtattr *a, *b;

	for (a = TCA_RTA(tc); RTA_OK(a, room); a = RTA_NEXT(a, room)) {
		if (a->rta_type != TCA_STATS2)
			continue;
		inner = RTA_PAYLOAD(a);
		for (b = RTA_DATA(a); RTA_OK(b, inner); b = RTA_NEXT(b, inner))
			if (b->rta_type == TCA_STATS_QUEUE)
				return ((struct gnet_stats_queue *)
					RTA_DATA(b))->backlog;
	}
	return 0;
}

/* netlink and not tc: packets do not wait for a program to start. */
long qdisc_bytes(const char *netdev)
{
	struct {
		struct nlmsghdr n;
		struct tcmsg tc;
	} request = {
		.n.nlmsg_len = sizeof(request),
		.n.nlmsg_type = RTM_GETQDISC,
		.n.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		.tc.tcm_family = AF_UNSPEC,
		.tc.tcm_ifindex = if_nametoindex(netdev),
	};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	static char reply[65536] __attribute__((aligned(8)));
	long sum = 0;

	if (fd < 0 || send(fd, &request, sizeof(request), 0) < 0)
		goto failed;
	for (;;) {
		struct nlmsghdr *n = (void *)reply;
		int left = recv(fd, reply, sizeof(reply), 0);

		if (left <= 0)
			goto failed;
		for (; NLMSG_OK(n, left); n = NLMSG_NEXT(n, left)) {
			struct tcmsg *tc = NLMSG_DATA(n);

			if (n->nlmsg_type == NLMSG_ERROR)
				goto failed;
			if (n->nlmsg_type == NLMSG_DONE) {
				close(fd);
				return sum;
			}
			if (tc->tcm_ifindex == request.tc.tcm_ifindex &&
			    tc->tcm_parent == TC_H_ROOT)
				sum += qdisc_queued(n);
		}
	}

failed:
	close(fd);
	return -1;
}

long read_number(const char *path)
{
	long value = -1;
	FILE *f = fopen(path, "r");

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	err = n < 0 ? -errno : 0;
	close(fd);
	return err;
}

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

uint64_t tick_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC_COARSE);
}

void sleep_ms(unsigned int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000,
			       .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

bool debug_kernel(void)
{
	const char *kernel = getenv("SNAP_VM_KERNEL");

	return kernel && !strcmp(kernel, "debug");
}

int netdev_up(void)
{
	const char *mtu = getenv("SNAP_VM_MTU");

	return sh("ip link set " NETDEV " mtu %s && "
		  "ip addr add " GUEST4 "/24 dev " NETDEV " && "
		  "ip addr add " GUEST6 "/64 dev " NETDEV " nodad && "
		  "ip link set " NETDEV " up", mtu ? mtu : "1500");
}

int module_load(void)
{
	return sh(". /run/snap-vm/settings && insmod $VM_MODULE $VM_MODULE_ARGS");
}
