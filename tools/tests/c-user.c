/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The library from C: prints its version; 1 when it differs from the header. */
#include <snap/libsnap.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
	struct snap_handle *handle = NULL;
	int error = snap_open(&handle);

	printf("libsnap %s: %s\n", snap_version(),
	       error ? strerror(-error) : "open");
	snap_close(handle);
	return strcmp(snap_version(), LIBSNAP_VERSION) != 0;
}
