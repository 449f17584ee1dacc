// SPDX-License-Identifier: LGPL-2.1-or-later
#include "json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

namespace snaptool {

Json &Json::put(std::string_view name, std::string_view value) {
    key(name);
    quote(value);
    return *this;
}

Json &Json::put(std::string_view name, double value) {
    std::array<char, 32> text{};
    key(name);
    if (!std::isfinite(value)) {
        text_ += "null";
        return *this;
    }
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    text_.append(text.data(), end);
    return *this;
}

Json &Json::open(std::string_view name) {
    key(name);
    text_ += '{';
    first_ = true;
    return *this;
}

Json &Json::close() {
    text_ += '}';
    first_ = false;
    return *this;
}

Json &Json::open_list(std::string_view name) {
    key(name);
    text_ += '[';
    first_ = true;
    return *this;
}

Json &Json::open() {
    if (!std::exchange(first_, true))
        text_ += ',';
    text_ += '{';
    return *this;
}

Json &Json::close_list() {
    text_ += ']';
    first_ = false;
    return *this;
}

std::string Json::finish() && {
    text_ += '}';
    return std::move(text_);
}

void Json::key(std::string_view name) {
    if (!std::exchange(first_, false))
        text_ += ',';
    quote(name);
    text_ += ':';
}

void Json::quote(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    text_ += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            text_ += '\\';
            text_ += c;
        } else if (byte < 0x20) {
            text_ += "\\u00";
            text_ += hex[byte >> 4];
            text_ += hex[byte & 15];
        } else {
            text_ += c;
        }
    }
    text_ += '"';
}

} // namespace snaptool
