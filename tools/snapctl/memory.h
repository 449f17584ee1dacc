// SPDX-License-Identifier: LGPL-2.1-or-later
// The commands about regions and snapshots.
#ifndef SNAPCTL_MEMORY_H
#define SNAPCTL_MEMORY_H

namespace snapctl {

struct Request;

int list_regions(const Request &request);
int show_region(const Request &request);
int diff_region(const Request &request);
int list_snapshots(const Request &request);
int show_snapshot(const Request &request);
int diff_snapshot(const Request &request);

} // namespace snapctl

#endif
