// SPDX-License-Identifier: LGPL-2.1-or-later
// Names of the enumerations of the ABI, as programs print them.
#include <snap/libsnap.h>

#include <array>

namespace {

struct Reason {
    unsigned int value;
    const char *name;
    const char *text;
};

constexpr std::array reasons{
    Reason{SNAP_COPY_SHORT, "short", "shorter than the copybreak"},
    Reason{SNAP_COPY_NOT_REGION, "not_region",
           "the buffer is in no region or view"},
    Reason{SNAP_COPY_SCATTERED, "scattered",
           "over several mappings, or in too many buffers"},
    Reason{SNAP_COPY_ROUTE, "route",
           "leaves by another network device, or by none yet, or a sysctl "
           "forbids"},
    Reason{SNAP_COPY_FLAGS, "flags",
           "MSG_ZEROCOPY, MSG_OOB, control data, or corking of datagrams"},
    Reason{SNAP_COPY_NO_FRAMES, "no_frames", "the device was out of frames"},
    Reason{SNAP_COPY_QUOTA, "quota",
           "the user had its share of frames in flight"},
    Reason{SNAP_COPY_RACE, "race", "a frame was on its way back"},
    Reason{SNAP_COPY_DEVICE, "device", "the device refused, or is leaving"},
    Reason{SNAP_COPY_CHECKSUM, "checksum",
           "this kernel would get its checksum wrong"},
};

constexpr std::array recv_reasons{
    Reason{SNAP_RECV_NOT_ASKED, "not_asked",
           "no MSG_SNAP_VIEW, or no view of this process"},
    Reason{SNAP_RECV_NOT_FRAMES, "not_frames",
           "arrived elsewhere than in frames"},
    Reason{SNAP_RECV_SHORT, "short", "a row of frames below the copybreak"},
    Reason{SNAP_RECV_SHARED, "shared", "the frame has other bytes beside them"},
    Reason{SNAP_RECV_SCATTERED, "scattered", "in packets put together twice"},
    Reason{SNAP_RECV_FLAGS, "flags",
           "for UDP or TCP itself: flags, options, a sockmap"},
    Reason{SNAP_RECV_CONTROL, "control", "no room to tell of them"},
    Reason{SNAP_RECV_FULL, "full", "no room in the window, or over SO_RCVBUF"},
    Reason{SNAP_RECV_QUOTA, "quota",
           "the maker of the view had his share of frames"},
};

struct Counter {
    unsigned int value;
    const char *name;
    bool level = false;
};

constexpr std::array counters{
    Counter{SNAP_CTR_DOORBELLS, "doorbells"},
    Counter{SNAP_CTR_TAKES, "takes"},
    Counter{SNAP_CTR_INTERRUPTS, "interrupts"},
    Counter{SNAP_CTR_BAD_REGISTER, "bad_register"},
    Counter{SNAP_CTR_BAD_DOORBELL, "bad_doorbell"},
    Counter{SNAP_CTR_BAD_ENTRY, "bad_entry"},
    Counter{SNAP_CTR_CAPTURES, "captures"},
    Counter{SNAP_CTR_SHARED_BYTES, "shared_bytes"},
    Counter{SNAP_CTR_COPIED_BYTES, "copied_bytes"},
    Counter{SNAP_CTR_WRITE_FAULTS, "write_faults"},
    Counter{SNAP_CTR_COW_COPIES, "cow_copies"},
    Counter{SNAP_CTR_RELEASED, "released"},
    Counter{SNAP_CTR_TX_PACKETS, "tx_packets"},
    Counter{SNAP_CTR_TX_BYTES, "tx_bytes"},
    Counter{SNAP_CTR_TX_FRAME_BYTES, "tx_frame_bytes"},
    Counter{SNAP_CTR_TX_DMA_BYTES, "tx_dma_bytes"},
    Counter{SNAP_CTR_TX_INLINE_BYTES, "tx_inline_bytes"},
    Counter{SNAP_CTR_TX_DROPPED, "tx_dropped"},
    Counter{SNAP_CTR_TX_PAUSES, "tx_pauses"},
    Counter{SNAP_CTR_RX_PACKETS, "rx_packets"},
    Counter{SNAP_CTR_RX_BYTES, "rx_bytes"},
    Counter{SNAP_CTR_RX_FRAMES, "rx_frames"},
    Counter{SNAP_CTR_RX_DROPPED, "rx_dropped"},
    Counter{SNAP_CTR_RX_STALLS, "rx_stalls"},
    Counter{SNAP_CTR_FREE_FRAMES, "free_frames", true},
    Counter{SNAP_CTR_GUEST_FRAMES, "guest_frames", true},
    Counter{SNAP_CTR_REGION_FRAMES, "region_frames", true},
    Counter{SNAP_CTR_RESERVED_FRAMES, "reserved_frames", true},
    Counter{SNAP_CTR_ARMS, "arms"},
    Counter{SNAP_CTR_SNAPSHOTS, "snapshots"},
    Counter{SNAP_CTR_CLONES, "clones"},
    Counter{SNAP_CTR_COMMITS, "commits"},
    Counter{SNAP_CTR_MERGES, "merges"},
    Counter{SNAP_CTR_CONFLICTS, "conflicts"},
    Counter{SNAP_CTR_TRAP_ARMS, "trap_arms"},
    Counter{SNAP_CTR_TRAP_PAGES, "trap_pages"},
    Counter{SNAP_CTR_AHEAD_PAGES, "ahead_pages"},
    Counter{SNAP_CTR_DEDUP_PAGES, "dedup_pages"},
    Counter{SNAP_CTR_REGIONS, "regions", true},
    Counter{SNAP_CTR_SNAPSHOTS_HELD, "snapshots_held", true},
    Counter{SNAP_CTR_RX_NO_LARGE, "rx_no_large"},
};

// A new value in the ABI stops the build here until it has a name.
template <typename Table>
constexpr bool in_order(const Table &table) {
    for (size_t i = 0; i < table.size(); i++)
        if (table[i].value != i)
            return false;
    return true;
}
static_assert(reasons.size() == SNAP_COPY_REASONS && in_order(reasons));
static_assert(recv_reasons.size() == SNAP_RECV_REASONS &&
              in_order(recv_reasons));
static_assert(counters.size() == SNAP_CTR_MAX && in_order(counters));

} // namespace

extern "C" {

const char *snap_copy_reason_name(unsigned int reason) {
    return reason < reasons.size() ? reasons[reason].name : nullptr;
}

const char *snap_copy_reason_text(unsigned int reason) {
    return reason < reasons.size() ? reasons[reason].text : nullptr;
}

const char *snap_recv_reason_name(unsigned int reason) {
    return reason < recv_reasons.size() ? recv_reasons[reason].name : nullptr;
}

const char *snap_recv_reason_text(unsigned int reason) {
    return reason < recv_reasons.size() ? recv_reasons[reason].text : nullptr;
}

const char *snap_counter_name(unsigned int counter) {
    return counter < counters.size() ? counters[counter].name : nullptr;
}

int snap_counter_is_level(unsigned int counter) {
    return counter < counters.size() && counters[counter].level ? 1 : 0;
}

} // extern "C"
