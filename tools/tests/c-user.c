/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library from C: prints its version; 1 when it differs from the header or
 * a call without objects answers anything but EINVAL.
 */
#include <snap/libsnap.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Everything links, and refuses NULL. */
static int refuses(void)
{
	SNAP_STRUCT(snap_object_info, info);
	struct snap_snapshot *snapshot = NULL;
	struct snap_region *region = NULL;
	struct snap_heap *heap = NULL;
	struct snap_view_part part;
	struct snap_view *view;
	uint64_t number = 0;
	size_t count = 0;

	snap_snapshot_free(NULL);
	snap_heap_destroy(NULL);
	snap_view_free(NULL);
	return snap_region_create_flags(NULL, 4096, SNAP_HINT_NONE,
					SNAP_REGION_ARGS_SPARSE,
					&region) == -EINVAL &&
	       snap_region_discard(NULL, 0, 4096) == -EINVAL &&
	       snap_region_adopt(NULL) == -EINVAL &&
	       snap_region_commit(NULL, NULL, &number) == -EINVAL &&
	       snap_region_merge(NULL, NULL, NULL, NULL, &count, NULL) ==
		       -EINVAL &&
	       snap_snapshot_take(NULL, &snapshot) == -EINVAL &&
	       snap_snapshot_from_fd(-1, &snapshot) == -EBADF &&
	       snap_snapshot_map(NULL) == -EINVAL &&
	       snap_snapshot_clone(NULL, SNAP_HINT_NONE, &region) == -EINVAL &&
	       snap_snapshot_diff(NULL, NULL, &number, &number, 1) ==
		       -EINVAL &&
	       snap_get_object_info(-1, &info) == -EBADF &&
	       snap_heap_create(NULL, &heap) == -EINVAL &&
	       !snap_heap_alloc(NULL, 1) && !snap_heap_realloc(NULL, NULL, 1) &&
	       !snap_heap_aligned_alloc(NULL, 16, 1) &&
	       snap_heap_free(NULL, &heap) == -EINVAL &&
	       snap_view_create(-1, 4096, 0, &view) == -EBADF &&
	       snap_view_create(-1, 0, 0, &view) == -EINVAL &&
	       snap_view_receive(NULL, &part, 1, 0, NULL, NULL, &part,
				 &count) == -EINVAL &&
	       snap_view_release(NULL, &part, 1) == -EINVAL;
}

int main(void)
{
	struct snap_handle *handle = NULL;
	int error = snap_open(&handle);

	printf("libsnap %s: %s\n", snap_version(),
	       error ? strerror(-error) : "open");
	snap_close(handle);
	return strcmp(snap_version(), LIBSNAP_VERSION) != 0 || !refuses();
}
