/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of the guest share.
 *
 * Functions that can fail return a negative errno (or -1 where only success
 * matters) and leave judging to the test.
 */
#ifndef SNAP_TEST_UTIL_H
#define SNAP_TEST_UTIL_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "snap.h"
#include "snap_device.h"

/*
 * Seconds that a case may take, of the harness: a slow host is no fault of the
 * test, and one that hangs is found as well after this time.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

struct tcp_info;	/* of <linux/tcp.h> */

#define PAGE		((size_t)SNAP_FRAME_SIZE)
#define DATAGRAM_MAX	65507u		/* bytes of UDP payload over IPv4 */

/* The machine harness gives both ends these; see selftests/vm. */
#define HOST4		"10.77.0.1"
#define HOST6		"fd77::1"
#define GUEST4		"10.77.0.2"
#define GUEST6		"fd77::2"
#define NETDEV		"snap0"
/* The same over virtio-net, if the machine has it. */
#define VIRTIO_HOST4	"10.78.0.1"
#define VIRTIO_HOST6	"fd78::1"
#define VIRTIO_NETDEV	"virtio0"

/* ---- The device --------------------------------------------------------- */

int dev_open(void);
int dev_info(struct snap_info *info);
int dev_stats(struct snap_stats *stats);
/* A counter of the device; ~0 if it cannot be read. */
uint64_t dev_counter(enum snap_counter counter);

/* One that `ethtool -S` has of NETDEV; ~0 if there is none of that name. */
uint64_t ethtool_counter(const char *name);

/* Wait until no socket, packet or batch has frames; what was out at the end. */
uint64_t wait_no_frames_out(unsigned int ms);
/* Wait until the device sees no frame held by the guest; what is left. */
uint64_t wait_no_guest_frames(unsigned int ms);
/* Wait until at least that many frames are free; what was free at the end. */
uint64_t wait_free_frames(uint64_t wanted, unsigned int ms);

/* Percent of the pool that a user may have. */
#define USER_QUOTA		"/sys/module/snap/parameters/user_quota"
#define USER_QUOTA_DEFAULT	"40"

/* Root as one whom quotas bind, or not: CAP_SYS_RESOURCE; 0 or -1. */
int quotas_bind(bool bind);

/* ---- Regions ------------------------------------------------------------ */

struct region {
	int fd;
	char *p;	/* mapped read-write */
	size_t length;	/* bytes */
};

/* The raw ioctl; a descriptor or a negative errno. */
int region_fd(size_t length, unsigned int hint);
/* Create and map; 0 or a negative errno. */
int region_make(struct region *r, size_t length);
void region_drop(struct region *r);
/* The same around a descriptor, which is taken over. */
int region_map(struct region *r, int fd, size_t length);
/* A region or, for controls, ordinary memory: region_drop() takes both. */
int memory_make(struct region *r, size_t length, bool region);
/* A region whose pages have no frames yet. */
int region_make_sparse(struct region *r, size_t length);
/* Take all frames; returns how many descriptors stand in fds. */
int regions_take_all(int *fds, int room);

/* ---- Snapshots: results, or a negative errno ---------------------------- */

/* The raw ioctl; version may be NULL. */
int snapshot_fd(int region, uint64_t *version);
/* Map all of it read-only; MAP_FAILED and errno. */
const char *snapshot_map(int snapshot, size_t length);
/* A clone of a snapshot, mapped. */
int clone_make(struct region *r, int snapshot, size_t length);
int commit(int region, int from, uint64_t *version);
/* *nconflicts is the room before and what is stored after. */
int merge(int region, int base, int from, uint64_t *conflicts,
	  uint32_t *nconflicts);
int discard(int region, uint64_t offset, uint64_t length);
int object_info(int fd, struct snap_object_info *info);
/* The value of a key in the fdinfo of a descriptor; 0 or -1. */
int fdinfo_value(int fd, const char *key, char *value, size_t room);

/* ---- Bytes -------------------------------------------------------------- */

/* A pattern that differs with the seed and with the place; never POISON. */
void fill(void *p, size_t length, unsigned int seed);
/* Offset of the first byte that differs from fill(), or -1. */
long differs(const void *p, size_t length, unsigned int seed);

/* The same for the bytes of a stream, of which `at` is the first one's place. */
void fill_stream(void *p, size_t length, uint64_t at);
long differs_stream(const void *p, size_t length, uint64_t at);

#define POISON		0xa5

/* ---- Sockets ------------------------------------------------------------ */

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* family is AF_INET or AF_INET6; host in text. */
socklen_t address_set(union address *a, int family, const char *host, int port);
socklen_t address_any(union address *a, int family);
/* The host, in text, on NETDEV or VIRTIO_NETDEV. */
const char *host_on(const char *netdev, int family);
/* SNAPPROTO_* of a family. */
int protocol_of(int family);

/* A socket; domain AF_SNAP takes the family from the second argument. */
int udp_socket(int domain, int family);
/*
 * Plain UDP on a free port of loopback; its address is stored.  A descriptor or
 * a negative errno.
 */
int udp_on_loopback(int family, union address *at, socklen_t *length);
/* Two of them on loopback that are each other's peer; 0 or -1. */
int udp_pair(int domain, int family, int *fd);
/* A stream socket; domain as of udp_socket(). */
int tcp_socket(int domain, int family);
/* A listening one on a free port of loopback; its address is stored. */
int tcp_listen_on_loopback(int domain, int family, union address *at,
			   socklen_t *length);
/* Both ends of a connection over loopback: fd[0] has accepted fd[1]; 0 or -1. */
int tcp_pair(int domain, int family, int *fd);
/* A connection to a port of that host; a descriptor or a negative errno. */
int tcp_connect(int domain, int family, const char *host, int port);
/*
 * Does the kernel sum right what splice(2) refers to, wherever it begins?  Asked with
 * ordinary sockets: 1, 0, or negative if it cannot be asked.
 */
int splice_sums_right(void);
/*
 * Do not read until nothing more comes in: the sender has filled what there is
 * room for, or has no more.
 */
void wait_until_still(int fd);
int set_timeout(int fd, unsigned int ms);
int set_copybreak(int fd, int bytes);
struct snap_sock_stats sock_stats(int fd);

#define PATIENCE	20000		/* ms; no test of a socket waits that long */
#define STREAM_ROOM	(64 * PAGE)	/* bytes received at once */

/* The events of poll(2) that a socket has, once it has `wanted`; or -1. */
int events_until(int fd, int wanted);
/*
 * That many bytes come out, which are those of the stream from `at` on.  `back`
 * has STREAM_ROOM, or `length` if that is less.
 */
bool comes_out(int fd, char *back, uint64_t at, size_t length);

/* A thread that reads a stream from its start: for senders that have to wait. */
struct reader {
	int fd;
	size_t length;
	char *back;		/* as comes_out() has it */
	unsigned int delay;	/* ms until it begins */
	pthread_t thread;
	bool good;
};

int reader_start(struct reader *reader);
/* Waits for its end: has all come out as it went in? */
bool reader_done(struct reader *reader);

/* How did a call end?  0 is success, otherwise the errno. */
int outcome(long result);
/* TCP_INFO; zeroes if there is none. */
struct tcp_info tcp_info_of(int fd);
/* The error that a socket kept for SO_ERROR; -1 if it cannot be asked. */
int so_error(int fd);

/*
 * A child that sends back whatever comes to loopback, with plain UDP; its
 * address is stored.  Killed by echo_stop(), or when its parent dies.
 */
int echo_start(int family, union address *at);
void echo_stop(int pid);

/* Port of the host's echo server; 0: there is none. */
int host_echo_port(void);
/* Port of the host's echo server for streams; 0: there is none. */
int host_stream_port(void);
/* Port of the host's stream_sink; 0: there is none. */
int host_stream_sink_port(void);
/* Port of the host's sink; 0: there is none. */
int host_sink_port(void);

/* ---- The system --------------------------------------------------------- */

/* Pass a descriptor through a Unix socket; 0 or -1, a descriptor or -1. */
int send_fd(int sock, int fd);
int receive_fd(int sock);
/* Does a store to that byte, or a load, end a process by that signal? */
bool store_is_fatal(char *p, int signal);
bool load_is_fatal(const char *p, int signal);
/* futex(2) at memory that processes share; how many were woken, or a negative errno. */
long futex_wake(const char *p);
long futex_wait(const char *p, unsigned int ms);
/*
 * Does futex(2) answer at all at the word there?  Asked by a child: who does not get an
 * answer cannot be killed.
 */
bool futex_answers(const char *p);
/* The errno of an ioctl, or 0; a descriptor that it returns is closed. */
int ioctl_errno(int fd, unsigned long request, void *arg);
/* The same of a mapping, which is gone again. */
int mmap_errno(int fd, size_t length, int prot, int flags, off_t offset);
/*
 * Nobody maps it to execute: EACCES, as the module says, or EPERM, which a kernel says
 * before it asks, from 6.17 on.
 */
bool exec_is_denied(int fd, int prot);

/* Go on in a network namespace of its own, of lo alone; 0 or a negative errno. */
int network_of_lo(void);
/* Run a shell command; its exit status. */
int sh(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Bytes of packets in the root qdisc of an interface; negative on failure. */
long qdisc_bytes(const char *netdev);
/* The number in a file of sysfs or procfs; -1 if it cannot be read. */
long read_number(const char *path);
int write_text(const char *path, const char *text);
uint64_t now_ms(void);
/* By the clock that times waiting sockets: on a busy host it lags, and jumps. */
uint64_t tick_ms(void);
void sleep_ms(unsigned int ms);
/* The one with KASAN and the like: slow, and it allocates for its own books. */
bool debug_kernel(void);
/* Set up snap0 as the machine harness did. */
int netdev_up(void);
/* Load, or load again, the module that the machine was started with. */
int module_load(void);

#endif /* SNAP_TEST_UTIL_H */
