// SPDX-License-Identifier: LGPL-2.1-or-later
// A writer of JSON, small: fields appear in the order in which they are put.
#ifndef SNAP_COMMON_JSON_H
#define SNAP_COMMON_JSON_H

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace snaptool {

class Json {
  public:
    Json() : text_("{") {}

    Json &put(std::string_view name, std::string_view value);

    template <std::integral Number>
    Json &put(std::string_view name, Number value) {
        key(name);
        text_ += std::to_string(value);
        return *this;
    }

    // Null if it is no number: JSON has no other word for that.
    Json &put(std::string_view name, double value);

    // An object inside this one, until close().
    Json &open(std::string_view name);
    Json &close();

    // A list of objects, each with an open() and close() of its own.
    Json &open_list(std::string_view name);
    Json &open();
    Json &close_list();

    // Closes the outermost object; the writer is spent.
    std::string finish() &&;

  private:
    void key(std::string_view name);
    void quote(std::string_view text);

    std::string text_;
    bool first_ = true;
};

} // namespace snaptool

#endif
