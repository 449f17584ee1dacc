// SPDX-License-Identifier: LGPL-2.1-or-later
// What is measured: rows, each of two ways of doing the same work.
#ifndef SNAP_BENCH_ROW_H
#define SNAP_BENCH_ROW_H

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace snapbench {

// An interface of this machine, and an address of the other end behind it.
struct Nic {
    std::string_view name; // empty: none whose counters are known
    std::string_view host;
};

enum class Family { inet, snap, vsock };

enum class Method {
    plain,    // send(2), recv(2)
    zerocopy, // MSG_ZEROCOPY; TCP_ZEROCOPY_RECEIVE
    batch,    // sendmmsg(2) of a whole ring
    uring,    // IORING_OP_SEND_ZC, from a registered buffer
    xdp,      // AF_XDP, past the kernel's UDP
    sendfile, // of a file in memory
    splice,   // from one socket to another
    view,     // MSG_SNAP_VIEW
};

// What happens to the buffer before a message.  A notification of MSG_ZEROCOPY
// is waited for before bytes that it is about are written.
enum class Memory {
    rewritten, // it is written anew
    ring,      // the next one of sixteen is
    unchanged, // nothing
};

struct Side {
    Family family;
    Nic nic;
    Method method = Method::plain;
    Memory memory = Memory::rewritten;
    unsigned sockets = 1;
    bool at_once = false; // a thread and buffers for each socket, not in turn
    unsigned regions =
        0;               // that so many buffers are in, one each; 0: all in one
    unsigned unread = 0; // messages that are kept, of those received last
};

struct Workload;

struct Row {
    std::string name;
    const Workload *workload;
    unsigned mtu;      // 0: as it is
    std::size_t bytes; // of a message
    Side ours;
    Side peer;
};

// All of them, in the order in which they are measured.
const std::vector<Row> &rows();

} // namespace snapbench

#endif
