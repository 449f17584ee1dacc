// SPDX-License-Identifier: LGPL-2.1-or-later
#include "report.h"

#include "../common/json.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iterator>
#include <string_view>

namespace snapctl {

namespace {

using std::size_t;
using std::uint64_t;

template <typename Struct>
struct Field {
    const char *name;
    uint64_t (*value)(const Struct &);
    const char *unit = "";
};

// Named as in the structure, in its order.
#define FIELD(Struct, name, ...)                                               \
    Field<Struct> {                                                            \
#name, [](const Struct &s) { return uint64_t{s.name}; }, __VA_ARGS__   \
    }

constexpr std::array info_fields{
    FIELD(snap_info, abi_version),
    FIELD(snap_info, device_version),
    FIELD(snap_info, ifindex),
    FIELD(snap_info, features),
    FIELD(snap_info, pool_frames, "frames"),
    FIELD(snap_info, free_frames, "frames"),
    FIELD(snap_info, out_frames, "frames"),
    FIELD(snap_info, window_pages, "pages"),
    FIELD(snap_info, quota_frames, "frames"),
    FIELD(snap_info, used_frames, "frames"),
    FIELD(snap_info, frame_bytes, "bytes"),
};

constexpr std::array socket_fields{
    FIELD(snap_sock_stats, tx_ref_msgs),
    FIELD(snap_sock_stats, tx_ref_bytes),
    FIELD(snap_sock_stats, tx_copied_msgs),
    FIELD(snap_sock_stats, tx_copied_bytes),
    FIELD(snap_sock_stats, rx_msgs),
    FIELD(snap_sock_stats, rx_copied_bytes),
    FIELD(snap_sock_stats, rx_viewed_msgs),
    FIELD(snap_sock_stats, rx_viewed_bytes),
};

#undef FIELD

// How many device counters both the module and this program know.
size_t known_counters(const snap_stats &stats) {
    return std::min({static_cast<size_t>(stats.ncounters),
                     static_cast<size_t>(SNAP_CTR_MAX),
                     std::size(stats.device)});
}

} // namespace

void line(std::string &text, std::string_view name, uint64_t value,
          std::string_view note) {
    std::array<char, 128> buffer{};
    const int used = std::snprintf(
        buffer.data(), buffer.size(), "%-28.*s %14llu%s%.*s\n",
        static_cast<int>(name.size()), name.data(),
        static_cast<unsigned long long>(value), note.empty() ? "" : "  ",
        static_cast<int>(note.size()), note.data());
    text.append(
        buffer.data(),
        std::min(buffer.size() - 1, static_cast<size_t>(std::max(0, used))));
}

std::string feature_names(uint64_t features) {
    struct Name {
        uint64_t bit;
        const char *name;
    };
    static constexpr std::array names{
        Name{SNAP_F_CSUM, "csum"},
        Name{SNAP_F_TSO4, "tso4"},
        Name{SNAP_F_TSO6, "tso6"},
        Name{SNAP_F_RX_CSUM, "rx_csum"},
        Name{SNAP_F_RX_LRO, "rx_lro"},
        Name{SNAP_F_SNAPSHOT, "snapshot"},
        Name{SNAP_F_STEPS, "steps"},
        Name{SNAP_F_TAKE_ARM, "take_arm"},
        Name{SNAP_F_USO, "uso"},
        Name{SNAP_F_HOLDOFF, "holdoff"},
        Name{SNAP_F_STEER, "steer"},
        Name{SNAP_F_LARGE_FRAMES, "large_frames"},
    };
    std::string text;
    for (const auto &[bit, name] : names)
        if ((features & bit) != 0)
            text.append(text.empty() ? "" : " ").append(name);
    if (const uint64_t rest = features & ~uint64_t{SNAP_F_ALL}; rest != 0) {
        std::array<char, 24> hex{};
        std::snprintf(hex.data(), hex.size(), "0x%llx",
                      static_cast<unsigned long long>(rest));
        text.append(text.empty() ? "" : " ").append(hex.data());
    }
    return text.empty() ? "none" : text;
}

std::string status_text(const snap_info &info) {
    std::string text;
    for (const auto &[name, value, unit] : info_fields)
        line(text, name, value(info),
             std::string_view(name) == "features" ? feature_names(info.features)
                                                  : unit);
    return text;
}

std::string status_json(const snap_info &info) {
    Json json;
    for (const auto &field : info_fields)
        json.put(field.name, field.value(info));
    return std::move(json).finish();
}

std::string stats_text(const snap_stats &stats) {
    std::string text;
    for (const auto &field : socket_fields)
        line(text, field.name, field.value(stats.sockets));
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++) {
        const std::string name =
            std::string("copied.") + snap_copy_reason_name(i);
        line(text, name + ".msgs", stats.sockets.copied_msgs[i]);
        line(text, name + ".bytes", stats.sockets.copied_bytes[i]);
    }
    for (unsigned int i = 0; i < SNAP_RECV_REASONS; i++) {
        const std::string name =
            std::string("received.") + snap_recv_reason_name(i);
        line(text, name + ".msgs", stats.sockets.recv_msgs[i]);
        line(text, name + ".bytes", stats.sockets.recv_bytes[i]);
    }
    for (unsigned int i = 0; i < known_counters(stats); i++)
        line(text, std::string("device.") + snap_counter_name(i),
             stats.device[i], snap_counter_is_level(i) != 0 ? "(level)" : "");
    return text;
}

void put_socket_stats(Json &json, const snap_sock_stats &stats, bool reasons) {
    for (const auto &field : socket_fields)
        json.put(field.name, field.value(stats));
    if (!reasons)
        return;
    json.open("copied");
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++)
        json.open(snap_copy_reason_name(i))
            .put("msgs", stats.copied_msgs[i])
            .put("bytes", stats.copied_bytes[i])
            .close();
    json.close().open("received");
    for (unsigned int i = 0; i < SNAP_RECV_REASONS; i++)
        json.open(snap_recv_reason_name(i))
            .put("msgs", stats.recv_msgs[i])
            .put("bytes", stats.recv_bytes[i])
            .close();
    json.close();
}

std::string stats_json(const snap_stats &stats) {
    Json json;
    put_socket_stats(json, stats.sockets, true);
    json.open("device");
    for (unsigned int i = 0; i < known_counters(stats); i++)
        json.put(snap_counter_name(i), stats.device[i]);
    json.close();
    return std::move(json).finish();
}

std::string reasons_text() {
    std::string text;
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++) {
        std::string name = snap_copy_reason_name(i);
        name.resize(std::max<size_t>(name.size() + 1, 14), ' ');
        text += name + snap_copy_reason_text(i) + '\n';
    }
    return text;
}

std::string reasons_json() {
    Json json;
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++)
        json.put(snap_copy_reason_name(i), snap_copy_reason_text(i));
    return std::move(json).finish();
}

snap_stats difference(const snap_stats &before, const snap_stats &after) {
    snap_stats delta = after;
    auto &to = delta.sockets;
    const auto &from = before.sockets;
    to.tx_ref_msgs -= from.tx_ref_msgs;
    to.tx_ref_bytes -= from.tx_ref_bytes;
    to.tx_copied_msgs -= from.tx_copied_msgs;
    to.tx_copied_bytes -= from.tx_copied_bytes;
    to.rx_msgs -= from.rx_msgs;
    to.rx_copied_bytes -= from.rx_copied_bytes;
    to.rx_viewed_msgs -= from.rx_viewed_msgs;
    to.rx_viewed_bytes -= from.rx_viewed_bytes;
    for (unsigned int i = 0; i < SNAP_COPY_REASONS; i++) {
        to.copied_msgs[i] -= from.copied_msgs[i];
        to.copied_bytes[i] -= from.copied_bytes[i];
    }
    for (unsigned int i = 0; i < SNAP_RECV_REASONS; i++) {
        to.recv_msgs[i] -= from.recv_msgs[i];
        to.recv_bytes[i] -= from.recv_bytes[i];
    }
    for (unsigned int i = 0; i < known_counters(after); i++)
        if (snap_counter_is_level(i) == 0)
            delta.device[i] -= before.device[i];
    return delta;
}

} // namespace snapctl
