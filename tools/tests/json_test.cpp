// SPDX-License-Identifier: LGPL-2.1-or-later
// common: the writer of JSON.
#include "common/json.h"

#include <gtest/gtest.h>
#include <limits>

namespace {

using snaptool::Json;

TEST(Json, NestsAndSeparates) {
    Json json;
    json.put("a", 1).open("b").put("c", ~std::uint64_t{0}).close();
    json.open("d").close().put("e", "x");
    EXPECT_EQ(std::move(json).finish(),
              R"({"a":1,"b":{"c":18446744073709551615},"d":{},"e":"x"})");
    EXPECT_EQ(Json().finish(), "{}");
}

TEST(Json, HasLists) {
    Json json;
    json.open_list("a").open().put("b", 1).close().open().open_list("c");
    json.close_list().close().close_list().put("d", 2);
    EXPECT_EQ(std::move(json).finish(), R"({"a":[{"b":1},{"c":[]}],"d":2})");
}

TEST(Json, Quotes) {
    Json json;
    json.put("q\"", "\\\n\x01~");
    EXPECT_EQ(std::move(json).finish(), R"({"q\"":"\\\u000a\u0001~"})");
}

TEST(Json, WritesFractions) {
    Json json;
    json.put("a", 0.5).put("b", 1e21).put("c", 123456.75);
    json.put("none", std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(std::move(json).finish(),
              R"({"a":0.5,"b":1e+21,"c":123456.75,"none":null})");
}

} // namespace
