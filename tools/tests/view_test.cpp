// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/view.cpp and <snap/view.hpp>: what is let go of, and by how many
// calls.
#include "fake_view.h"

#include <snap/libsnap.hpp>

#include <array>
#include <gtest/gtest.h>
#include <vector>

namespace {

constexpr std::size_t window = 8 * FakeView::stride;

class Views : public testing::Test {
  protected:
    snap::Message receive() { return view_.receive(buffer_); }

    FakeView fake_;
    std::array<std::byte, FakeView::message_bytes> buffer_{};
    snap::Socket socket_{FakeView::socket(window)};
    snap::ReceiveView view_{socket_, window};
};

TEST_F(Views, AMessageEndsByItself) {
    {
        const auto message = receive();
        EXPECT_EQ(message.viewed(), FakeView::message_bytes);
        EXPECT_TRUE(fake_.released.empty());
    }
    ASSERT_EQ(fake_.released.size(), 1U);
    EXPECT_EQ(fake_.released[0].offset, 0U);
    EXPECT_EQ(fake_.released[0].length, FakeView::message_bytes);
}

TEST_F(Views, MessagesEndTogetherByOneCall) {
    {
        std::vector<snap::Message> messages;
        messages.reserve(4);
        for (int i = 0; i < 4; ++i)
            messages.push_back(receive());
        snap::release(messages.begin(), messages.begin() + 3);
        ASSERT_EQ(fake_.released.size(), 1U);
        EXPECT_EQ(fake_.released[0].offset, 0U);
        EXPECT_EQ(fake_.released[0].length,
                  2 * FakeView::stride + FakeView::message_bytes);
        EXPECT_EQ(messages[0].viewed(), 0U);
        EXPECT_EQ(messages[3].viewed(), FakeView::message_bytes);
        snap::release(messages.begin(), messages.begin());
    }
    // Those that have ended do not end again.
    ASSERT_EQ(fake_.released.size(), 2U);
    EXPECT_EQ(fake_.released[1].offset, 3 * FakeView::stride);
}

TEST_F(Views, WhatIsApartTakesACallEach) {
    std::vector<snap::Message> messages;
    messages.push_back(receive());
    fake_.next_offset += FakeView::stride;
    messages.push_back(receive());
    snap::release(messages.begin(), messages.end());
    ASSERT_EQ(fake_.released.size(), 2U);
    EXPECT_EQ(fake_.released[1].offset, 2 * FakeView::stride);
}

TEST_F(Views, WhatHasMovedOnIsNotReleased) {
    std::vector<snap::Message> messages;
    messages.push_back(receive());
    messages.push_back(receive());
    const auto kept = std::move(messages[0]);
    snap::release(messages.begin(), messages.end());
    ASSERT_EQ(fake_.released.size(), 1U);
    EXPECT_EQ(fake_.released[0].offset, FakeView::stride);
    EXPECT_EQ(kept.viewed(), FakeView::message_bytes);
}

TEST_F(Views, AMessageMayTakeThePlaceOfAnother) {
    auto message = receive();
    message = receive();
    ASSERT_EQ(fake_.released.size(), 1U);
    EXPECT_EQ(fake_.released[0].offset, 0U);
    EXPECT_EQ(message.parts()[0].offset, FakeView::stride);
}

} // namespace
