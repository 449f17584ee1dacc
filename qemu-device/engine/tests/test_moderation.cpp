// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Interrupts for received packets that are held back. The clock is the tests':
// nothing depends on how fast the machine is.
#include "packet_rig.hpp"

namespace snapmem_test {
namespace {

constexpr std::uint32_t holdoff_us = 1000;
constexpr std::int64_t holdoff_ns = holdoff_us * 1000;

// Has announced one packet just now, which was taken, and is armed again.
class Moderation : public testing::Test {
  protected:
    explicit Moderation(const Net::Options &options = {}) : net_(options) {}

    void SetUp() override {
        net_.attach();
        snapnet_set_holdoff(net_.q(), holdoff_us);
        EXPECT_FALSE(snapnet_arm(net_.q(), true));
        ASSERT_TRUE(net_.to_wire(packet_of(100, 0)));
        ASSERT_TRUE(interrupted(1)) << "the first one is never held back";
        EXPECT_EQ(net_.receive(1).size(), 1U);
        EXPECT_FALSE(snapnet_arm(net_.q(), true));
    }
    // A packet comes, and waits.
    void come() {
        const std::uint64_t before = net_.counters().rx_packets;
        ASSERT_TRUE(net_.to_wire(packet_of(100, 1)));
        ASSERT_TRUE(net_.wait(
            [&] { return net_.counters().rx_packets == before + 1; }));
    }
    [[nodiscard]] bool interrupted(unsigned n) const {
        return Net::wait([&] { return net_.interrupts() >= n; });
    }
    // There is none, for as long as a thread needs to raise one that is due.
    [[nodiscard]] bool quiet(unsigned n) const {
        std::this_thread::sleep_for(30ms);
        return net_.interrupts() == n;
    }

    Net net_;
};

TEST_F(Moderation, WaitsUntilTheTimeIsOver) {
    come();
    EXPECT_TRUE(quiet(1));
    clock_ns += holdoff_ns - 1;
    EXPECT_TRUE(quiet(1));
    clock_ns += 1;
    EXPECT_TRUE(interrupted(2));
    // The next time counts from this one.
    EXPECT_FALSE(snapnet_arm(net_.q(), true)) << "not yet";
    clock_ns += holdoff_ns - 1;
    EXPECT_TRUE(quiet(2));
    clock_ns += 1;
    EXPECT_TRUE(interrupted(3));
}

TEST_F(Moderation, HoldsBackNothingAfterTheTime) {
    clock_ns += holdoff_ns;
    come();
    EXPECT_TRUE(interrupted(2));
}

TEST_F(Moderation, IsNotAnnouncedIfTaken) {
    come();
    EXPECT_EQ(net_.receive(1).size(), 1U);
    clock_ns += holdoff_ns;
    EXPECT_TRUE(quiet(1));
    // Still armed.
    come();
    EXPECT_TRUE(interrupted(2));
}

TEST_F(Moderation, EndsWithANewTime) {
    come();
    snapnet_set_holdoff(net_.q(), 2 * holdoff_us);
    clock_ns += holdoff_ns;
    EXPECT_TRUE(quiet(1));
    snapnet_set_holdoff(net_.q(), 0);
    EXPECT_TRUE(interrupted(2));
}

TEST_F(Moderation, MoreThanABatchDoesNotWait) {
    for (unsigned i = 0; i < 100; ++i) {
        ASSERT_TRUE(net_.to_wire(packet_of(250, i)));
    }
    EXPECT_TRUE(interrupted(2));
}

TEST_F(Moderation, TransmissionResumesAtOnce) {
    come();
    const unsigned sent = net_.fill(60000, false);
    EXPECT_TRUE(quiet(1));
    net_.expect_in_order(sent, 60000);
    EXPECT_TRUE(interrupted(2));
    EXPECT_FALSE(net_.paused());
    // What was held back still is.
    EXPECT_TRUE(quiet(2));
    clock_ns += holdoff_ns;
    EXPECT_TRUE(interrupted(3));
}

// A thread that lets go leaves it to the caller, and finds it again.
TEST_F(Moderation, OutlivesTheThreadsTurn) {
    come();
    snapnet_detach(net_.q());
    EXPECT_EQ(snapnet_held_ns(net_.q()), holdoff_ns);
    EXPECT_FALSE(snapnet_take_interrupt(net_.q()));
    clock_ns += holdoff_ns - 1;
    EXPECT_EQ(snapnet_held_ns(net_.q()), 1);
    clock_ns += 1;
    EXPECT_EQ(snapnet_held_ns(net_.q()), 0);
    EXPECT_TRUE(quiet(1));
    EXPECT_TRUE(snapnet_take_interrupt(net_.q()));
    EXPECT_EQ(snapnet_held_ns(net_.q()), -1);
    EXPECT_FALSE(snapnet_take_interrupt(net_.q()));

    EXPECT_FALSE(snapnet_arm(net_.q(), true));
    EXPECT_EQ(snapnet_held_ns(net_.q()), holdoff_ns);
    net_.attach();
    clock_ns += holdoff_ns;
    EXPECT_TRUE(interrupted(2));
}

TEST_F(Moderation, OutlivesAHalt) {
    come();
    snapnet_halt(net_.q(), true);
    clock_ns += holdoff_ns;
    EXPECT_TRUE(quiet(1));
    snapnet_halt(net_.q(), false);
    EXPECT_TRUE(interrupted(2));
}

TEST_F(Moderation, EndsWithAReset) {
    come();
    snapnet_reset(net_.q());
    EXPECT_EQ(snapnet_held_ns(net_.q()), -1);
    clock_ns += holdoff_ns;
    EXPECT_TRUE(quiet(1));
    snapnet_start(net_.q(), 0);
    for (unsigned i = 2; i < 4; ++i) { // nothing is held back any more
        EXPECT_FALSE(snapnet_arm(net_.q(), true));
        come();
        EXPECT_TRUE(interrupted(i));
        EXPECT_EQ(net_.receive(1).size(), 1U);
    }
}

class ShortModeration : public Moderation {
  protected:
    ShortModeration() : Moderation({.frames = 64}) {}
};

// Frames that wait with a packet may be those that reception waits for.
TEST_F(ShortModeration, AStallDoesNotWait) {
    for (unsigned i = 0; i < 4; ++i) {
        ASSERT_TRUE(net_.to_wire(packet_of(60000, i)));
    }
    EXPECT_TRUE(interrupted(2));
    EXPECT_EQ(net_.counters().rx_stalls, 1U);
}

} // namespace
} // namespace snapmem_test
