// SPDX-License-Identifier: LGPL-2.1-or-later
#include "printable.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>

namespace snaptool {

namespace {

struct Character {
    char32_t code = 0;
    std::size_t bytes = 0; // 0: no UTF-8
};

// The first one.  Neither longer forms than needed nor surrogates are any.
Character first(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80)
        return {lead, 1};
    const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    if (lead < 0xc0 || lead >= 0xf8 || text.size() < bytes)
        return {};
    char32_t code = lead & (0xffU >> (bytes + 1));
    for (const char c : text.substr(1, bytes - 1)) {
        const auto next = static_cast<unsigned char>(c);
        if ((next & 0xc0U) != 0x80)
            return {};
        code = code << 6 | (next & 0x3fU);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    if (code < least.at(bytes) || code > 0x10ffff || surrogate)
        return {};
    return {code, bytes};
}

// What moves the cursor, turns the direction, or has no shape.
bool seen(char32_t code) {
    struct Range {
        char32_t from;
        char32_t to;
    };
    static constexpr std::array hidden{
        Range{0x00, 0x1f},       Range{0x7f, 0x9f},     Range{0xad, 0xad},
        Range{0x61c, 0x61c},     Range{0x180e, 0x180e}, Range{0x200b, 0x200f},
        Range{0x2028, 0x202e},   Range{0x2060, 0x206f}, Range{0xe000, 0xf8ff},
        Range{0xfeff, 0xfeff},   Range{0xfff0, 0xfffb}, Range{0xfffe, 0xffff},
        Range{0xe0000, 0x10ffff}};
    return std::none_of(hidden.begin(), hidden.end(), [&](auto &range) {
        return code >= range.from && code <= range.to;
    });
}

} // namespace

std::string printable(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string shown;
    while (!text.empty()) {
        const auto [code, bytes] = first(text);
        const auto part = text.substr(0, std::max<std::size_t>(bytes, 1));
        text.remove_prefix(part.size());
        if (code == U'\\') {
            shown += R"(\\)";
        } else if (bytes != 0 && seen(code)) {
            shown += part;
        } else {
            for (const char c : part) {
                const auto byte = static_cast<unsigned char>(c);
                (shown += "\\x") += digits[byte >> 4];
                shown += digits[byte & 15];
            }
        }
    }
    return shown;
}

void complain(const char *tool, std::string_view text) {
    std::fprintf(stderr, "%s: %s\n", tool, printable(text).c_str());
}

} // namespace snaptool
