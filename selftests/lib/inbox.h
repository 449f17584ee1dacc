/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages that nobody has read yet, in sockets of all kinds, while the device goes. */
#ifndef SNAP_SELFTEST_INBOX_H
#define SNAP_SELFTEST_INBOX_H

#include "snap_test_util.h"

#define INBOX_LENGTH	60000
#define INBOX_MESSAGES	5	/* unread in each socket */

/*
 * ENDED: by the sender; CLOSED: by the receiver before, too, so that it is in no table
 * of the kernel; PORTLESS: nor is that, which had a port when it received.
 */
enum inbox_kind {
	UDP_SNAP,
	UDP_INET,
	UDP_PORTLESS,
	TCP_SNAP,
	TCP_INET,
	TCP_ENDED,
	TCP_CLOSED,
	INBOX_KINDS
};

/* fd[0] has messages of fd[1], which sent them by reference. */
struct inbox {
	int fd[2];
	int kind;
	pthread_t thread;
	volatile bool *stop;
	unsigned int looks;
	unsigned int wrong;
};

/* One of each kind, and a thread each that looks at what is unread. */
struct inboxes {
	struct region r;
	struct inbox of[INBOX_KINDS];
	char pci[64];		/* address of the device */
	volatile bool stop;
};

/* 0, or -1: then some may be there, for inboxes_close(). */
int inboxes_open(struct inboxes *all);
/* The threads end.  False: one has seen other bytes than those sent, or none. */
bool inboxes_stop(struct inboxes *all);
void inboxes_close(struct inboxes *all);

/* Each message comes out, and is what was sent. */
bool inboxes_have_all(struct inboxes *all);
/* Each socket says once that something is lost, and has nothing more. */
bool inboxes_have_errors(struct inboxes *all);

/*
 * What takes the memory of the device away, or brings it back.  Meanwhile the
 * machine has one processor if it is emulated: while one changes the memory map in
 * QEMU 10, another looks up the register that it wants to access by its number in
 * the map before, so its timers are lost, or QEMU aborts.  0 or -1.
 */
int pci_reset(const char *pci);
/* Does the device answer?  If not, as one that was pulled out. */
int pci_memory_decoding(const char *pci, bool on);

int pci_unbind(const char *pci);
/* The driver is bound, and the interface is as it was; 0 or -1. */
int pci_bind(const char *pci);
int pci_bind_again(const char *pci);

/* How many lines of the kernel's log have the text, or -1. */
int log_count(const char *text);
/* Within ten seconds there are that many, and not more. */
bool log_reaches(const char *text, int count);

#endif /* SNAP_SELFTEST_INBOX_H */
