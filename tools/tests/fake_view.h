// SPDX-License-Identifier: LGPL-2.1-or-later
// A file that stands for a socket with a view, as long as there is a FakeView:
// what it receives are messages of a page and a half, each two pages behind the
// one before, all of which are in the view.
#ifndef SNAP_TESTS_FAKE_VIEW_H
#define SNAP_TESTS_FAKE_VIEW_H

#include <snap/libsnap.h>

#include <cstddef>
#include <cstdint>
#include <vector>

class FakeView {
  public:
    static constexpr std::size_t message_bytes = 6144;
    static constexpr std::size_t stride = 8192;

    FakeView();
    ~FakeView();
    FakeView(const FakeView &) = delete;
    FakeView &operator=(const FakeView &) = delete;

    // A descriptor of one, with a window of so many bytes.
    static int socket(std::size_t window);

    std::uint64_t next_offset = 0; // bytes into the view, of the next message
    std::vector<snap_view_range> released; // by this process
};

#endif
