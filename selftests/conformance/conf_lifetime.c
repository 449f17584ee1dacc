// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who has a socket, and for how long: namespaces that go, processes that share
 * it, pass it on or are killed, and memory that goes away while it is sent.
 * Frames come home each time; see FIXTURE_TEARDOWN.
 *
 * Machines: share-2 debug
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "conf_socket.h"

#define ROUNDS		12	/* in which a sender is killed */
#define CHANGES		400	/* of a mapping, during sends */

/* A child that dies with its parent: 0 in the child. */
static pid_t child(void)
{
	pid_t pid = fork();

	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Has nobody the other end any more?  A datagram has to be sent to find out. */
static bool peer_goes(int fd, int type, char *back)
{
	uint64_t end = now_ms() + PATIENCE;
	int err;

	if (type == SOCK_STREAM) {
		ssize_t n = recv(fd, back, 1, 0);

		return !n || (n < 0 && errno == ECONNRESET);
	}
	do {
		err = outcome(send(fd, back, 1, 0));
		sleep_ms(2);
	} while (err != ECONNREFUSED && now_ms() < end);
	return err == ECONNREFUSED;
}

/* ---- Network namespaces ------------------------------------------------- */

/* The other end of a link goes when the namespace does. */
static bool link_goes(const char *name)
{
	uint64_t end = now_ms() + PATIENCE;

	while (if_nametoindex(name) && now_ms() < end)
		sleep_ms(5);
	return !if_nametoindex(name);
}

TEST_F(sock, namespace_goes)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), fd[2], pipefd[2];
	bool stream = variant->type == SOCK_STREAM;
	char here[IFNAMSIZ];

	ASSERT_GE(home, 0);
	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	snprintf(here, sizeof(here), "conf%d", getpid());
	ASSERT_EQ(0, sh("ip link set lo up && "
			"ip link add there type veth peer name %s netns 1", here));
	ASSERT_EQ(0, conf_pair(fd));
	if (variant->region)
		ASSERT_EQ(0, set_copybreak(fd[1], 0));
	ASSERT_EQ(MESSAGE, send(fd[1], self->p, MESSAGE, 0));
	/* pages in a pipe outlive sockets and namespace */
	if (stream)
		ASSERT_LT(0, splice(fd[0], NULL, pipefd[1], NULL, MESSAGE, 0));
	ASSERT_EQ(0, setns(home, CLONE_NEWNET));
	/* here no longer, but the sockets are still there, and keep it */
	ASSERT_EQ(MESSAGE, send(fd[1], self->p, MESSAGE, 0));
	ASSERT_EQ(POLLIN, await(fd[0], POLLIN));
	EXPECT_NE(0, if_nametoindex(here));
	while (stream && send(fd[1], self->p, LENGTH, MSG_DONTWAIT) > 0)
		;
	if (variant->region) {
		EXPECT_LE(1, by_reference(fd[1]));
		EXPECT_NE(0, dev_counter(SNAP_CTR_GUEST_FRAMES));
	}
	close(fd[1]);
	close(fd[0]);
	EXPECT_TRUE(link_goes(here));
	memset(self->p, POISON, LENGTH);
	if (stream) {
		EXPECT_EQ(PAGE, read(pipefd[0], self->back, PAGE));
		EXPECT_EQ(-1, differs(self->back, PAGE, 0));
	}
	close(pipefd[0]);
	close(pipefd[1]);
	close(home);
}

/* ---- Several processes -------------------------------------------------- */

TEST_F(sock, shared_by_fork)
{
	int go[2], i;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = child();
	ASSERT_GE(pid, 0);
	if (!pid) {
		ssize_t n = send(self->tx, self->p, MESSAGE, 0);

		close(go[1]);
		if (n == (ssize_t)MESSAGE && !read(go[0], &c, 1))
			n = send(self->tx, self->p, MESSAGE, 0);
		_exit(n != (ssize_t)MESSAGE);
	}
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	/* the child counts when its packet is on its way */
	for (i = 0; variant->region && by_reference(self->tx) < 2 && i < 1000; i++)
		sleep_ms(1);
	if (variant->region)
		EXPECT_EQ(2, by_reference(self->tx));
	/* the child keeps it open, sends, and is the last to have it */
	close(self->tx);
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	close(go[1]);
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	EXPECT_EQ(0, end_of(pid));
	EXPECT_TRUE(peer_goes(self->rx, variant->type, self->back));
	close(go[0]);
	self->tx = conf_socket();
}

TEST_F(sock, passed_on)
{
	int unix_fd[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fd));
	pid = child();
	ASSERT_GE(pid, 0);
	if (!pid) {
		int fd;

		/* what it can do does not depend on where its user is */
		close(self->tx);
		fd = unshare(CLONE_NEWNET) ? -1 : receive_fd(unix_fd[1]);
		_exit(send(fd, self->p, MESSAGE, 0) != (ssize_t)MESSAGE);
	}
	ASSERT_EQ(0, send_fd(unix_fd[0], self->tx));
	close(self->tx);
	EXPECT_EQ(0, end_of(pid));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	close(unix_fd[0]);
	close(unix_fd[1]);
	EXPECT_TRUE(peer_goes(self->rx, variant->type, self->back));
	self->tx = conf_socket();
}

/* Under way between processes when the one that should have it dies. */
TEST_F(sock, passed_to_the_dead)
{
	int unix_fd[2];
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fd));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	pid = child();
	ASSERT_GE(pid, 0);
	if (!pid) {
		close(self->tx);
		close(self->rx);
		close(unix_fd[0]);
		pause();
		_exit(1);
	}
	close(unix_fd[1]);
	ASSERT_EQ(0, send_fd(unix_fd[0], self->tx));
	close(self->tx);
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	kill(pid, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, end_of(pid));
	EXPECT_TRUE(peer_goes(self->rx, variant->type, self->back));
	close(unix_fd[0]);
	self->tx = conf_socket();
}

/* The only one to have it is a socket that only has itself. */
TEST_F(sock, passed_in_a_circle)
{
	int unix_fd[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, unix_fd));
	ASSERT_EQ(MESSAGE, send(self->rx, self->p, MESSAGE, 0));
	ASSERT_EQ(POLLIN, await(self->tx, POLLIN));
	ASSERT_EQ(0, send_fd(unix_fd[0], self->tx));
	ASSERT_EQ(0, send_fd(unix_fd[0], unix_fd[0]));
	ASSERT_EQ(0, send_fd(unix_fd[0], unix_fd[1]));
	close(self->tx);
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	close(unix_fd[0]);
	close(unix_fd[1]);
	/* closing any one has the kernel look for circles */
	close(socket(AF_UNIX, SOCK_STREAM, 0));
	EXPECT_TRUE(peer_goes(self->rx, variant->type, self->back));
	self->tx = conf_socket();
}

/* ---- Death of a sender -------------------------------------------------- */

/* What there is to receive are such messages; `at` bytes of one came before. */
static bool all_of_pattern(int fd, char *back, const char *want, size_t *at)
{
	ssize_t n;

	while ((n = recv(fd, back, MESSAGE - *at, MSG_DONTWAIT)) > 0) {
		if (memcmp(back, want + *at, n))
			return false;
		*at = (*at + n) % MESSAGE;
	}
	return true;
}

TEST_F(sock, killed)
{
	char *want = malloc(MESSAGE);
	unsigned int seed = 1;
	int i;

	ASSERT_NE(NULL, want);
	fill(want, MESSAGE, 0);
	for (i = 0; i < ROUNDS; i++) {
		size_t at = 0;
		pid_t pid;
		int fd[2];

		ASSERT_EQ(0, conf_pair(fd));
		if (variant->region)
			ASSERT_EQ(0, set_copybreak(fd[1], 0));
		pid = child();
		ASSERT_GE(pid, 0);
		if (!pid) {
			close(fd[0]);
			while (send(fd[1], self->p, MESSAGE, 0) > 0)
				;
			_exit(1);
		}
		close(fd[1]);
		usleep(rand_r(&seed) % 8000);
		/* a stream goes on, or still waits for room */
		if (i % 2)
			EXPECT_TRUE(all_of_pattern(fd[0], self->back, want, &at));
		usleep(rand_r(&seed) % 1000);
		kill(pid, SIGKILL);
		EXPECT_EQ(128 + SIGKILL, end_of(pid));
		EXPECT_TRUE(all_of_pattern(fd[0], self->back, want, &at));
		/* only a stream ends within a message */
		EXPECT_TRUE(variant->type == SOCK_STREAM || !at);
		close(fd[0]);
	}
	free(want);
}

/* ---- Memory that goes --------------------------------------------------- */

struct sender {
	pthread_t thread;
	int tx, rx;
	const char *p;		/* what is there changes all the time */
	char *back;
	const char *was[2];	/* all that can have been there */
	atomic_bool stop;
	unsigned int sent;
	unsigned int faults;
	const char *wrong;
};

static bool was_there(const struct sender *s, size_t at, size_t n)
{
	size_t i;

	if (!memcmp(s->back, s->was[0] + at, n) || !memcmp(s->back, s->was[1] + at, n))
		return true;
	for (i = 0; i < n; i++)
		if (s->back[i] != s->was[0][at + i] && s->back[i] != s->was[1][at + i])
			return false;
	return true;
}

/* Each call has sent bytes that were there, or failed with EFAULT. */
static void *send_on(void *arg)
{
	struct sender *s = arg;
	unsigned int seed = 2;

	while (!s->stop && !s->wrong) {
		size_t at = rand_r(&seed) % LENGTH;
		size_t room = LENGTH - at < MESSAGE ? LENGTH - at : MESSAGE;
		size_t length = 1 + rand_r(&seed) % room;
		ssize_t n = send(s->tx, s->p + at, length, 0);

		if (n < 0 && errno == EFAULT) {
			s->faults++;
			continue;
		}
		if (n < 0)
			s->wrong = strerror(errno);
		else if (recv(s->rx, s->back, n, MSG_WAITALL) != n)
			s->wrong = "not all came";
		else if (!was_there(s, at, n))
			s->wrong = "bytes that were never there";
		s->sent++;
	}
	return NULL;
}

/* One of the files at that place, wholly or in its second half. */
static void place(char *p, int fd, size_t from)
{
	mmap(p + from, LENGTH - from, PROT_READ | PROT_WRITE,
	     MAP_SHARED | MAP_FIXED, fd, from);
}

/* The first file is there before and afterwards. */
static void change(unsigned int how, char *p, char *aside, const int *fd)
{
	switch (how) {
	case 0:
		munmap(p, LENGTH);
		break;
	case 1:
		place(p, fd[1], 0);
		break;
	case 2:
		place(p, fd[1], LENGTH / 2);
		break;
	case 3:
		mremap(p, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, aside);
		mremap(aside, LENGTH, LENGTH, MREMAP_MAYMOVE | MREMAP_FIXED, p);
		return;
	case 4:
		mprotect(p, LENGTH / 2, PROT_NONE);
		break;
	}
	usleep(50);
	place(p, fd[0], 0);
}

static int file_of(const FIXTURE_VARIANT(sock) *variant)
{
	int fd = variant->region ? region_fd(LENGTH, SNAP_HINT_NONE) :
				   memfd_create("conf", MFD_CLOEXEC);

	return fd < 0 || (!variant->region && ftruncate(fd, LENGTH)) ? -1 : fd;
}

TEST_F(sock, mappings_change)
{
	struct sender s = { .tx = self->tx, .rx = self->rx, .back = self->back };
	unsigned int seed = 3;
	int fd[2], i;
	char *p, *aside;

	/* places of our own, which nobody else is given meanwhile */
	p = mmap(NULL, 2 * LENGTH, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	aside = p + LENGTH;
	for (i = 0; i < 2; i++) {
		char *was = malloc(LENGTH);

		fd[i] = file_of(variant);
		ASSERT_GE(fd[i], 0);
		ASSERT_NE(NULL, was);
		place(p, fd[i], 0);
		fill(p, LENGTH, i);
		fill(was, LENGTH, i);
		s.was[i] = was;
	}
	place(p, fd[0], 0);
	s.p = p;
	ASSERT_EQ(0, pthread_create(&s.thread, NULL, send_on, &s));
	for (i = 0; i < CHANGES; i++)
		change(rand_r(&seed) % 5, p, aside, fd);
	s.stop = true;
	pthread_join(s.thread, NULL);
	EXPECT_EQ(NULL, s.wrong)
		TH_LOG("%s", s.wrong);
	EXPECT_LT(0, s.sent);
	EXPECT_TRUE(!variant->region || by_reference(self->tx));
	TH_LOG("%u sent, %u faults", s.sent, s.faults);
	munmap(p, 2 * LENGTH);
	for (i = 0; i < 2; i++) {
		free((char *)s.was[i]);
		close(fd[i]);
	}
}

TEST_HARNESS_MAIN
