// SPDX-License-Identifier: LGPL-2.1-or-later
// Ways of sending a message from the application's memory.
#ifndef SNAP_BENCH_SENDER_H
#define SNAP_BENCH_SENDER_H

#include "memory.h"
#include "row.h"

#include <cstddef>
#include <memory>

namespace snapbench {

class Sender {
  public:
    Sender() = default;
    Sender(const Sender &) = delete;
    Sender &operator=(const Sender &) = delete;
    virtual ~Sender() = default;

    // Writes the next buffer, if the row says so, and sends all of it, or keeps
    // it back for flush(), which has to follow the last one.
    virtual void send() = 0;
    virtual void flush() {}
};

// Over a connected socket, which must outlive it.  Buffers of the side, for
// messages of so many bytes: senders may share those of Method::plain.
std::unique_ptr<Sender> make_sender(int fd, const Side &side, std::size_t bytes,
                                    std::shared_ptr<Buffers> buffers);

} // namespace snapbench

#endif
