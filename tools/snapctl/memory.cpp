// SPDX-License-Identifier: LGPL-2.1-or-later
#include "memory.h"

#include "command.h"
#include "memory_report.h"
#include "objects.h"
#include "remote.h"

#include <cstdio>

namespace snapctl {

namespace {

int list(const Request &request, const char *kind) {
    const auto listing = list_objects(kind);
    print(request.json ? listing_json(kind, listing)
                       : listing_text(kind, listing));
    if (listing.unreadable != 0)
        std::fprintf(stderr,
                     "snapctl: %zu processes of others were not looked at\n",
                     listing.unreadable);
    return exit_ok;
}

int show(const Request &request, snap_object_kind kind) {
    const Remote object(request.arguments.at(0), request.arguments.at(1));
    object.expect(kind);
    print(request.json ? object_json(object.info())
                       : object_text(object.info()));
    return exit_ok;
}

// PID FD FD or PID FD PID FD.  The first object is of the command's kind.
int diff(const Request &request, snap_object_kind kind) {
    const auto &words = request.arguments;
    Remote one(words.at(0), words.at(1));
    Remote two(words.at(words.size() == 4 ? 2 : 0), words.back());
    one.expect(kind);
    if (one.info().length != two.info().length)
        throw std::runtime_error(
            "the lengths differ: " + std::to_string(one.info().length) +
            " and " + std::to_string(two.info().length) + " bytes");
    const auto pages = one.snapshot().diff(two.snapshot());
    print(request.json ? diff_json(one.info().length, pages)
                       : diff_text(one.info().length, pages));
    return exit_ok;
}

} // namespace

int list_regions(const Request &request) {
    return list(request, "region");
}

int show_region(const Request &request) {
    return show(request, SNAP_OBJECT_REGION);
}

int diff_region(const Request &request) {
    return diff(request, SNAP_OBJECT_REGION);
}

int list_snapshots(const Request &request) {
    return list(request, "snapshot");
}

int show_snapshot(const Request &request) {
    return show(request, SNAP_OBJECT_SNAPSHOT);
}

int diff_snapshot(const Request &request) {
    return diff(request, SNAP_OBJECT_SNAPSHOT);
}

} // namespace snapctl
