// SPDX-License-Identifier: GPL-2.0-only
/*
 * BPF programs decide about AF_SNAP sockets as about those of UDP and TCP: the
 * hooks of control groups, and filters.
 *
 * Machines: share-2 debug newest
 */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "conf_socket.h"

/* ---- Programs ----------------------------------------------------------- */

#define MOV(reg, value)	\
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = reg, .imm = value }
#define LOAD(reg, field)	\
	{ .code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = reg, .src_reg = 1,	\
	  .off = offsetof(struct bpf_sock_addr, field) }
#define STORE(field, reg)	\
	{ .code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = reg,	\
	  .off = offsetof(struct bpf_sock_addr, field) }
/* Over the next instruction, unless equal. */
#define SKIP_NOT(reg, value)	\
	{ .code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg, .off = 1, .imm = value }
#define EXIT	{ .code = BPF_JMP | BPF_EXIT }

static int bpf(int command, union bpf_attr *attr)
{
	return syscall(__NR_bpf, command, attr, sizeof(*attr));
}

static int prog_load(int type, int attach, const struct bpf_insn *insns, int n)
{
	static char log[4096];
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach,
		.insns = (uintptr_t)insns,
		.insn_cnt = n,
		.license = (uintptr_t)"GPL",
		.log_buf = (uintptr_t)log,
		.log_size = sizeof(log),
		.log_level = 1,
	};
	int fd = bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0)
		fprintf(stderr, "# %s\n", log);
	return fd;
}

static int prog_attach(int command, int cgroup, int prog, int attach)
{
	union bpf_attr attr = {
		.target_fd = cgroup, .attach_bpf_fd = prog, .attach_type = attach,
	};

	return bpf(command, &attr);
}

/* A control group that this process is in; a descriptor, or -1. */
static int cgroup_enter(void)
{
	char path[] = "/sys/fs/cgroup/conf_hooks";

	mkdir(path, 0755);
	if (write_text("/sys/fs/cgroup/conf_hooks/cgroup.procs", "0"))
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void cgroup_leave(int cgroup)
{
	write_text("/sys/fs/cgroup/cgroup.procs", "0");
	close(cgroup);
	/* busy until the sockets of the group are gone: then the next one's */
	rmdir("/sys/fs/cgroup/conf_hooks");
}

/* ---- Hooks of a control group ------------------------------------------- */

enum act { CREATE, BIND, CONNECT, SEND };

static int act(enum act what, const FIXTURE_VARIANT(sock) *variant,
	       const struct server *s, const char *p)
{
	int err, fd = conf_socket();

	if (fd < 0)
		return -fd;
	switch (what) {
	case BIND:
		err = bind_port(fd, variant->family, 0);
		break;
	case CONNECT:
		err = outcome(connect(fd, &s->at.sa, s->length));
		break;
	case SEND:
		err = reach(fd, s, variant->type, p);
		break;
	default:
		err = 0;
	}
	close(fd);
	return err;
}

static const struct {
	const char *text;
	enum act act;
	int type[2];		/* IPv4, IPv6 */
} hooks[] = {
	{ "sock_create", CREATE,
	  { BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_INET_SOCK_CREATE } },
	{ "bind", BIND, { BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND } },
	{ "connect", CONNECT,
	  { BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT } },
	{ "sendmsg", SEND,		/* of datagrams */
	  { BPF_CGROUP_UDP4_SENDMSG, BPF_CGROUP_UDP6_SENDMSG } },
};

/* Each hook denies, if it sees the family of the addresses, until detached. */
TEST_F(sock, deny)
{
	struct bpf_insn deny[] = {
		MOV(0, 0), LOAD(2, family), SKIP_NOT(2, variant->family), EXIT,
		MOV(0, 1), EXIT,
	};
	int six = variant->family == AF_INET6, cgroup = cgroup_enter(), prog, type;
	struct server s;
	size_t i;

	if (cgroup < 0)
		SKIP(return, "no control groups");
	ASSERT_EQ(0, serve(&s, variant->type, variant->domain, variant->family));
	for (i = 0; i < ARRAY_SIZE(hooks); i++) {
		if (hooks[i].act == SEND && variant->type == SOCK_STREAM)
			continue;
		type = hooks[i].type[six];
		/* struct bpf_sock has the family at another place */
		deny[1].off = hooks[i].act == CREATE ?
			      offsetof(struct bpf_sock, family) :
			      offsetof(struct bpf_sock_addr, user_family);
		prog = prog_load(hooks[i].act == CREATE ?
				 BPF_PROG_TYPE_CGROUP_SOCK :
				 BPF_PROG_TYPE_CGROUP_SOCK_ADDR, type, deny,
				 ARRAY_SIZE(deny));
		ASSERT_GE(prog, 0);
		EXPECT_EQ(0, act(hooks[i].act, variant, &s, self->p));
		ASSERT_EQ(0, prog_attach(BPF_PROG_ATTACH, cgroup, prog, type));
		EXPECT_EQ(EPERM, act(hooks[i].act, variant, &s, self->p))
			TH_LOG("%s", hooks[i].text);
		ASSERT_EQ(0, prog_attach(BPF_PROG_DETACH, cgroup, prog, type));
		EXPECT_EQ(0, act(hooks[i].act, variant, &s, self->p));
		close(prog);
	}
	close(s.fd);
	cgroup_leave(cgroup);
}

/* The hooks may send it elsewhere: the message is at the other server. */
TEST_F(sock, redirect)
{
	int six = variant->family == AF_INET6, cgroup = cgroup_enter(), fd, prog;
	int type = variant->type == SOCK_DGRAM ? hooks[3].type[six] :
						 hooks[2].type[six];
	struct server from, to;

	if (cgroup < 0)
		SKIP(return, "no control groups");
	ASSERT_EQ(0, serve(&from, variant->type, variant->domain, variant->family));
	ASSERT_EQ(0, serve(&to, variant->type, variant->domain, variant->family));
	{
		struct bpf_insn redirect[] = {
			MOV(2, to.at.in.sin_port), STORE(user_port, 2), MOV(0, 1),
			EXIT,
		};

		prog = prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, type, redirect,
				 ARRAY_SIZE(redirect));
	}
	ASSERT_GE(prog, 0);
	ASSERT_EQ(0, prog_attach(BPF_PROG_ATTACH, cgroup, prog, type));
	fd = conf_socket();
	EXPECT_EQ(0, reach(fd, &from, variant->type, self->p));
	if (variant->type == SOCK_STREAM) {
		int peer = accept(to.fd, NULL, NULL);

		EXPECT_TRUE(arrives(peer, self->back, MESSAGE, 0));
		close(peer);
	} else {
		EXPECT_TRUE(arrives(to.fd, self->back, MESSAGE, 0));
	}
	ASSERT_EQ(0, prog_attach(BPF_PROG_DETACH, cgroup, prog, type));
	close(prog);
	close(fd);
	close(from.fd);
	close(to.fd);
	cgroup_leave(cgroup);
}

/* Elsewhere may be another device, whose driver is not to see frames. */
TEST_F(sock, redirect_to_device)
{
	int six = variant->family == AF_INET6, cgroup, fd, prog;
	int type = hooks[3].type[six];
	union address away;
	struct server s;

	if (variant->type == SOCK_STREAM || !variant->region)
		return;		/* connect() has decided, or there is no frame */
	ASSERT_EQ(0, unshare(CLONE_NEWNET));
	ASSERT_EQ(0, sh("printf 'link set lo up\nlink add away type dummy\n"
			"addr add 192.0.2.1/24 dev away\n"
			"addr add 2001:db8::1/64 dev away nodad\n"
			"link set away up\n' | ip -batch -"));
	cgroup = cgroup_enter();
	if (cgroup < 0)
		SKIP(return, "no control groups");
	address_set(&away, variant->family, six ? "2001:db8::2" : "192.0.2.2", 9);
	{
		struct bpf_insn redirect[] = {
			MOV(2, away.in.sin_addr.s_addr), STORE(user_ip4, 2),
			MOV(0, 1), EXIT,
		};
		struct bpf_insn redirect6[] = {
			MOV(2, away.in6.sin6_addr.s6_addr32[0]),
			STORE(user_ip6[0], 2),
			MOV(2, 0), STORE(user_ip6[1], 2), STORE(user_ip6[2], 2),
			MOV(2, away.in6.sin6_addr.s6_addr32[3]),
			STORE(user_ip6[3], 2),
			MOV(0, 1), EXIT,
		};

		prog = prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, type,
				 six ? redirect6 : redirect,
				 six ? ARRAY_SIZE(redirect6) : ARRAY_SIZE(redirect));
	}
	ASSERT_GE(prog, 0);
	ASSERT_EQ(0, serve(&s, variant->type, variant->domain, variant->family));
	fd = conf_socket();
	ASSERT_EQ(0, set_copybreak(fd, 0));
	EXPECT_EQ(0, reach(fd, &s, variant->type, self->p));
	EXPECT_EQ(1, by_reference(fd));
	EXPECT_TRUE(arrives(s.fd, self->back, MESSAGE, 0));
	ASSERT_EQ(0, prog_attach(BPF_PROG_ATTACH, cgroup, prog, type));
	EXPECT_EQ(0, reach(fd, &s, variant->type, self->p));
	EXPECT_EQ(EAGAIN, outcome(recv(s.fd, self->back, 1, MSG_DONTWAIT)));
	EXPECT_EQ(1, by_reference(fd));
	EXPECT_EQ(1, sock_stats(fd).copied_msgs[SNAP_COPY_ROUTE]);
	ASSERT_EQ(0, prog_attach(BPF_PROG_DETACH, cgroup, prog, type));
	EXPECT_EQ(0, reach(fd, &s, variant->type, self->p));
	EXPECT_EQ(2, by_reference(fd));
	close(prog);
	close(s.fd);
	close(fd);
	cgroup_leave(cgroup);
}

/*
 * A program that looks at options has the kernel read them first: what an option of
 * ours is given is the same then, and what it gives.
 */
TEST_F(sock, options_looked_at)
{
	const struct bpf_insn look[] = { MOV(0, 1), EXIT };
	static const int types[] = { BPF_CGROUP_SETSOCKOPT, BPF_CGROUP_GETSOCKOPT };
	struct { struct snap_view_args args; uint64_t more; } a = {
		.args = { .size = sizeof(a), .length = 4 * PAGE }, .more = 1,
	};
	struct snap_view_range range = { .length = PAGE };
	socklen_t size = sizeof(a.args);
	int cgroup = cgroup_enter(), prog[2], i, fd;

	if (cgroup < 0)
		SKIP(return, "no control groups");
	fd = conf_socket();	/* of that group */
	ASSERT_GE(fd, 0);
	for (i = 0; i < 2; i++) {
		prog[i] = prog_load(BPF_PROG_TYPE_CGROUP_SOCKOPT, types[i], look,
				    ARRAY_SIZE(look));
		ASSERT_GE(prog[i], 0);
		ASSERT_EQ(0, prog_attach(BPF_PROG_ATTACH, cgroup, prog[i], types[i]));
	}
	EXPECT_EQ(0, outcome(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){ 100000 },
					sizeof(int))));
	if (variant->domain == AF_SNAP) {
		EXPECT_EQ(0, set_copybreak(fd, 5));
		EXPECT_EQ(E2BIG, outcome(setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a, sizeof(a))));
		a.args.size = sizeof(a.args);
		EXPECT_EQ(EINVAL, outcome(setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a,
						     sizeof(a.args) - 1)));
		EXPECT_EQ(0, outcome(setsockopt(fd, SOL_SNAP, SNAP_VIEW, &a,
						sizeof(a.args))));
		EXPECT_EQ(0, outcome(getsockopt(fd, SOL_SNAP, SNAP_VIEW, &a.args, &size)));
		EXPECT_EQ(4 * PAGE, a.args.length);
		EXPECT_EQ(0, outcome(setsockopt(fd, SOL_SNAP, SNAP_VIEW_RELEASE, &range,
						sizeof(range))));
		EXPECT_EQ(sizeof(struct snap_sock_stats), sock_stats(fd).size);
	}
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, prog_attach(BPF_PROG_DETACH, cgroup, prog[i], types[i]));
		close(prog[i]);
	}
	close(fd);
	cgroup_leave(cgroup);
}

/* Packets that a program drops: an error for datagrams, a delay for streams. */
TEST_F(sock, drop)
{
	const struct bpf_insn drop[] = { MOV(0, 0), EXIT };
	int cgroup = cgroup_enter(), type = BPF_CGROUP_INET_EGRESS, prog, fd[2];
	bool stream = variant->type == SOCK_STREAM;

	if (cgroup < 0)
		SKIP(return, "no control groups");
	ASSERT_EQ(0, conf_pair(fd));
	prog = prog_load(BPF_PROG_TYPE_CGROUP_SKB, 0, drop, ARRAY_SIZE(drop));
	ASSERT_GE(prog, 0);
	ASSERT_EQ(0, prog_attach(BPF_PROG_ATTACH, cgroup, prog, type));
	EXPECT_EQ(stream ? 0 : EPERM, outcome(send(fd[1], self->p, MESSAGE, 0)));
	EXPECT_EQ(EAGAIN, outcome(recv(fd[0], self->back, 1, MSG_DONTWAIT)));
	ASSERT_EQ(0, prog_attach(BPF_PROG_DETACH, cgroup, prog, type));
	if (!stream)
		ASSERT_EQ(MESSAGE, send(fd[1], self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(fd[0], self->back, MESSAGE, 0));
	close(prog);
	close(fd[0]);
	close(fd[1]);
	cgroup_leave(cgroup);
}

/* ---- Landlock ----------------------------------------------------------- */

/* A process that may neither bind nor connect TCP; what then happens, or -1. */
static int in_a_sandbox(const FIXTURE_VARIANT(sock) *variant, int family,
			const struct server *s, bool connects)
{
	/* struct landlock_ruleset_attr of ABI 4, which the headers may not know */
	const uint64_t rules[2] = { 0, 1 | 2 };
	union address at = s->at;
	int status, ruleset;
	pid_t pid = fork();

	if (pid) {
		waitpid(pid, &status, 0);
		return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	}
	ruleset = syscall(__NR_landlock_create_ruleset, rules, sizeof(rules), 0);
	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(__NR_landlock_restrict_self, ruleset, 0))
		_exit(errno == EACCES ? 255 : errno);
	at.sa.sa_family = family;
	if (!connects)
		at.in.sin_port = 0;
	ruleset = tcp_socket(variant->domain, variant->family);
	_exit(outcome(connects ? connect(ruleset, &at.sa, s->length) :
				 bind(ruleset, &at.sa, s->length)));
}

/* By no family of the address a socket gets where the sandbox denies it. */
TEST_F(sock, landlock)
{
	struct server s;
	int i, got;

	if (variant->type != SOCK_STREAM)
		return;		/* it knows TCP only */
	if (syscall(__NR_landlock_create_ruleset, NULL, 0, 1) < 4)
		SKIP(return, "no Landlock that knows of TCP");
	ASSERT_EQ(0, serve(&s, variant->type, variant->domain, variant->family));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(EACCES, in_a_sandbox(variant, variant->family, &s, i));
		got = in_a_sandbox(variant, AF_SNAP, &s, i);
		EXPECT_TRUE(got == EACCES || got == EAFNOSUPPORT) TH_LOG("%d", got);
	}
	close(s.fd);
}

/* ---- A filter ----------------------------------------------------------- */

/* What a filter drops is as if it had been lost. */
TEST_F(sock, filter)
{
	const struct bpf_insn drop[] = { MOV(0, 0), EXIT };
	int prog = prog_load(BPF_PROG_TYPE_SOCKET_FILTER, 0, drop,
			     ARRAY_SIZE(drop));

	ASSERT_GE(prog, 0);
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_ATTACH_BPF, &prog,
				sizeof(prog)));
	ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_EQ(EAGAIN, outcome(recv(self->rx, self->back, 1, MSG_DONTWAIT)));
	ASSERT_EQ(0, setsockopt(self->rx, SOL_SOCKET, SO_DETACH_BPF, &prog,
				sizeof(prog)));
	if (variant->type == SOCK_DGRAM)
		ASSERT_EQ(MESSAGE, send(self->tx, self->p, MESSAGE, 0));
	EXPECT_TRUE(arrives(self->rx, self->back, MESSAGE, 0));
	close(prog);
}

TEST_HARNESS_MAIN
