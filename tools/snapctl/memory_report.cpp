// SPDX-License-Identifier: LGPL-2.1-or-later
#include "memory_report.h"

#include "remote.h"
#include "report.h"

#include "../common/json.h"

#include <array>
#include <cstdio>

namespace snapctl {

namespace {

std::string hex(std::uint64_t value) {
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "%#llx",
                  static_cast<unsigned long long>(value));
    return text.data();
}

// Right-aligned in so many columns, after a space.
void column(std::string &text, std::string_view word, std::size_t width) {
    text += ' ';
    text.append(width > word.size() ? width - word.size() : 0, ' ');
    text.append(word);
}

constexpr std::array<std::size_t, 6> widths{10, 8, 9, 8, 8, 5};

void row(std::string &text, const std::array<std::string, 6> &words) {
    for (std::size_t i = 0; i < words.size(); i++)
        column(text, words.at(i), widths.at(i));
}

} // namespace

std::string listing_text(std::string_view kind, const Listing &listing) {
    std::string text;
    row(text, {std::string(kind), "pages", "populated", "reserved", "version",
               "dirty"});
    text += "  held by (process/descriptor program)\n";
    for (const auto &object : listing.objects) {
        const auto &state = object.state;
        const auto known = [&](std::uint64_t State::*member) {
            return state ? std::to_string((*state).*member) : "-";
        };
        row(text, {hex(object.handle), std::to_string(object.pages),
                   known(&State::populated), known(&State::reserved),
                   known(&State::version),
                   !state         ? "-"
                   : state->dirty ? "yes"
                                  : "no"});
        const char *separator = "  ";
        for (const auto &[pid, fd, program] : object.holders) {
            text += separator + std::to_string(pid) + '/' + std::to_string(fd) +
                    ' ' + program;
            separator = ", ";
        }
        text += '\n';
    }
    return text;
}

std::string listing_json(std::string_view kind, const Listing &listing) {
    Json json;
    json.open_list(std::string(kind) + 's');
    for (const auto &object : listing.objects) {
        json.open().put("handle", object.handle).put("pages", object.pages);
        if (object.state)
            json.put("populated", object.state->populated)
                .put("reserved", object.state->reserved)
                .put("version", object.state->version)
                .put("dirty", static_cast<int>(object.state->dirty));
        json.open_list("holders");
        for (const auto &[pid, fd, program] : object.holders)
            json.open()
                .put("pid", pid)
                .put("fd", fd)
                .put("program", program)
                .close();
        json.close_list().close();
    }
    json.close_list().put("unreadable_processes", listing.unreadable);
    return std::move(json).finish();
}

namespace {

struct Field {
    const char *name;
    std::uint64_t (*value)(const snap_object_info &);
    const char *unit = "";
    bool region_only = false;
};

// Named as in the structure.
#define FIELD(name, ...)                                                       \
    Field {                                                                    \
#name, [](const snap_object_info                                       \
                      &i) { return std::uint64_t{i.name}; }, __VA_ARGS__       \
    }

constexpr std::array fields{
    FIELD(handle),
    FIELD(owner),
    FIELD(length, "bytes"),
    FIELD(version),
    FIELD(populated_frames, "frames"),
    FIELD(reserved_frames, "frames", true),
    FIELD(shared_pages),
    FIELD(copied_pages),
    FIELD(write_faults, "", true),
    FIELD(dirty, "", true),
    FIELD(sharing, "", true),
};

#undef FIELD

bool applies(const Field &field, const snap_object_info &info) {
    return !field.region_only || info.kind == SNAP_OBJECT_REGION;
}

} // namespace

std::string object_text(const snap_object_info &info) {
    std::string text;
    for (const auto &field : fields)
        if (applies(field, info))
            line(text, field.name, field.value(info), field.unit);
    return text;
}

std::string object_json(const snap_object_info &info) {
    Json json;
    json.put("kind", kind_name(info.kind));
    for (const auto &field : fields)
        if (applies(field, info))
            json.put(field.name, field.value(info));
    return std::move(json).finish();
}

std::vector<Run> runs_of(const std::vector<std::uint64_t> &pages) {
    std::vector<Run> runs;
    for (const auto page : pages) {
        if (!runs.empty() && runs.back().offset + runs.back().length == page)
            runs.back().length += SNAP_FRAME_SIZE;
        else
            runs.push_back({page, SNAP_FRAME_SIZE});
    }
    return runs;
}

std::string diff_text(std::uint64_t length,
                      const std::vector<std::uint64_t> &pages) {
    std::string text = std::to_string(pages.size()) + " of " +
                       std::to_string(length / SNAP_FRAME_SIZE) +
                       " pages differ\n";
    if (!pages.empty()) {
        column(text, "offset", 14);
        column(text, "bytes", 14);
        text += '\n';
    }
    for (const auto &run : runs_of(pages)) {
        column(text, hex(run.offset), 14);
        column(text, std::to_string(run.length), 14);
        text += '\n';
    }
    return text;
}

std::string diff_json(std::uint64_t length,
                      const std::vector<std::uint64_t> &pages) {
    Json json;
    json.put("pages", length / SNAP_FRAME_SIZE).put("differ", pages.size());
    json.open_list("runs");
    for (const auto &[offset, bytes] : runs_of(pages))
        json.open().put("offset", offset).put("length", bytes).close();
    json.close_list();
    return std::move(json).finish();
}

} // namespace snapctl
