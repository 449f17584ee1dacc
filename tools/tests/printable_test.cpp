// SPDX-License-Identifier: LGPL-2.1-or-later
// common/printable.cpp: what others have named.
#include "common/printable.h"

#include <gtest/gtest.h>
#include <string>

namespace {

using snaptool::printable;

TEST(Printable, LeavesWhatCanBeSeen) {
    for (const char *text : {"", "nginx: worker", "gr\303\266\303\237e",
                             "\xe2\x82\xac", "\xf0\x9f\x90\x8d"})
        EXPECT_EQ(printable(text), text);
}

TEST(Printable, EscapesWhatSteersATerminal) {
    EXPECT_EQ(printable("\033[2J"), R"(\x1b[2J)");
    EXPECT_EQ(printable("a\nb\r\t\x7f"), R"(a\x0ab\x0d\x09\x7f)");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), R"(a\x00b)");
    EXPECT_EQ(printable("\xc2\x9b"
                        "2J"),
              R"(\xc2\x9b2J)");                              // CSI in one
    EXPECT_EQ(printable("\xe2\x80\xae"), R"(\xe2\x80\xae)"); // right to left
    EXPECT_EQ(printable("\xe2\x80\xa8"), R"(\xe2\x80\xa8)"); // a line ends
}

TEST(Printable, EscapesWhatIsNoUtf8) {
    EXPECT_EQ(printable("\x80x"), R"(\x80x)");
    EXPECT_EQ(printable("x\xff"), R"(x\xff)");
    EXPECT_EQ(printable("\xe2\x82"), R"(\xe2\x82)"); // cut off
    EXPECT_EQ(printable("\xe2\x82"
                        "a"),
              R"(\xe2\x82a)");
    EXPECT_EQ(printable("\xc0\xaf"), R"(\xc0\xaf)"); // too long
    EXPECT_EQ(printable("\xe0\x80\xaf"), R"(\xe0\x80\xaf)");
    EXPECT_EQ(printable("\xed\xa0\x80"), R"(\xed\xa0\x80)"); // surrogate
    EXPECT_EQ(printable("\xf4\x90\x80\x80"), R"(\xf4\x90\x80\x80)");
    EXPECT_EQ(printable("\xf8\x88\x80\x80\x80"), R"(\xf8\x88\x80\x80\x80)");
}

TEST(Printable, IsNotAmbiguous) {
    EXPECT_EQ(printable(R"(\x1b)"), R"(\\x1b)");
}

// JSON takes all of it as it is, but for quotes and backslashes.
TEST(Printable, IsOneLineOfVisibleBytes) {
    for (int lead = 0; lead < 256; lead++)
        for (int next = 0; next < 256; next++) {
            const std::string text{static_cast<char>(lead),
                                   static_cast<char>(next)};
            for (const char c : printable(text)) {
                const auto byte = static_cast<unsigned char>(c);
                EXPECT_TRUE(byte >= 0x20 && byte != 0x7f) << lead << next;
            }
        }
}

} // namespace
