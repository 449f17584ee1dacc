// SPDX-License-Identifier: GPL-2.0-only
/*
 * stream_sink PORT - plain TCP at the host's end that judges what comes.
 *
 * The bytes of a connection have to be those of fill_stream().  Now and then
 * it stops reading until nothing more comes in.  When the peer has shut down
 * its half, the answer is how many bytes were right from the first one on, a
 * big-endian number of 64 bits.
 */

#define _GNU_SOURCE
#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "snap_test_util.h"

#define STOP_EVERY	(128ull << 20)	/* bytes */

static uint64_t judge(int fd)
{
	static char back[1 << 20];
	uint64_t at = 0, good = 0, stop = STOP_EVERY;
	ssize_t n;

	/* what follows a wrong byte is read as well: the sender must not hang */
	while ((n = recv(fd, back, sizeof(back), 0)) > 0) {
		long wrong = good == at ? differs_stream(back, n, at) : 0;

		good += wrong < 0 ? n : wrong;
		at += n;
		if (at >= stop) {
			wait_until_still(fd);
			stop += STOP_EVERY;
		}
	}
	return good;
}

int main(int argc, char **argv)
{
	int listener = tcp_socket(AF_INET6, AF_INET6), on = 1;
	socklen_t length;
	union address at;

	length = address_any(&at, AF_INET6);
	at.in6.sin6_port = htons(argc > 1 ? atoi(argv[1]) : 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, &at.sa, length) || listen(listener, 16)) {
		perror("stream_sink");
		return 1;
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && !fork()) {
			uint64_t good = htobe64(judge(fd));

			_exit(send(fd, &good, sizeof(good), 0) != sizeof(good));
		}
		close(fd);
	}
}
