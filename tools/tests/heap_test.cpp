// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap/heap.cpp and snap/heap.hpp; a memfd stands in for a region.
#include <snap/libsnap.hpp>

#include <cerrno>
#include <cstring>
#include <gtest/gtest.h>
#include <memory_resource>
#include <random>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t page = SNAP_BUFFER_ALIGN;
constexpr std::size_t pages = 256;

class HeapTest : public testing::Test {
  protected:
    HeapTest() : region(make()) {
        EXPECT_EQ(snap_heap_create(region.get(), &heap), 0);
    }
    void TearDown() override { snap_heap_destroy(heap); }

    static snap::Region make() {
        const int fd = ::memfd_create("region", MFD_CLOEXEC);
        EXPECT_EQ(::ftruncate(fd, pages * page), 0);
        return snap::Region::from_fd(fd, pages * page);
    }
    bool inside(const void *piece, std::size_t length) const {
        const auto *first = static_cast<const std::byte *>(piece);
        const auto all = region.bytes();
        return first >= all.data() && first + length <= all.data() + all.size();
    }
    // Whether the region is free as a whole.
    bool empty() const {
        void *buffer = nullptr;
        const int error =
            snap_buffer_alloc(region.get(), pages * page, &buffer);
        snap_buffer_free(region.get(), buffer);
        return error == 0;
    }

    snap::Region region;
    snap_heap *heap = nullptr;
};

TEST_F(HeapTest, AllocatesInTheRegion) {
    for (const std::size_t length : {0UL, 1UL, 24UL, 2000UL, 5000UL, 70000UL}) {
        void *piece = snap_heap_alloc(heap, length);
        ASSERT_NE(piece, nullptr) << length;
        EXPECT_TRUE(inside(piece, length));
        EXPECT_EQ(
            reinterpret_cast<uintptr_t>(piece) % alignof(std::max_align_t), 0U);
        std::memset(piece, 1, length);
        snap_heap_free(heap, piece);
    }
}

TEST_F(HeapTest, SmallPiecesShareAPage) {
    const auto *one = static_cast<char *>(snap_heap_alloc(heap, 40));
    const auto *two = static_cast<char *>(snap_heap_alloc(heap, 40));
    EXPECT_NE(one, two);
    EXPECT_LT(std::abs(one - two), static_cast<std::ptrdiff_t>(page));
}

TEST_F(HeapTest, AlignsUpToAPage) {
    for (std::size_t alignment = 1; alignment <= page; alignment *= 2) {
        void *piece = snap_heap_aligned_alloc(heap, alignment, 100);
        ASSERT_NE(piece, nullptr) << alignment;
        EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % alignment, 0U);
        std::memset(piece, 1, 100);
        snap_heap_free(heap, piece);
    }
    for (const std::size_t alignment : {0UL, 3UL, 2 * page}) {
        errno = 0;
        EXPECT_EQ(snap_heap_aligned_alloc(heap, alignment, 1), nullptr);
        EXPECT_EQ(errno, EINVAL) << alignment;
    }
}

TEST_F(HeapTest, ReallocKeepsTheContent) {
    auto *piece = static_cast<char *>(snap_heap_realloc(heap, nullptr, 4));
    std::memcpy(piece, "abc", 4);
    piece = static_cast<char *>(snap_heap_realloc(heap, piece, 100000));
    EXPECT_STREQ(piece, "abc");
    piece[99999] = 1;
    piece = static_cast<char *>(snap_heap_realloc(heap, piece, 2));
    EXPECT_EQ(std::memcmp(piece, "ab", 2), 0);
    EXPECT_EQ(snap_heap_realloc(heap, piece, SIZE_MAX), nullptr);
    EXPECT_EQ(std::memcmp(piece, "ab", 2), 0) << "kept by a failure";
    snap_heap_free(heap, piece);
}

TEST_F(HeapTest, SaysWhenTheRegionIsFull) {
    errno = 0;
    EXPECT_EQ(snap_heap_alloc(heap, pages * page + 1), nullptr);
    EXPECT_EQ(errno, ENOMEM);
    std::vector<void *> pieces;
    while (void *piece = snap_heap_alloc(heap, 1000))
        pieces.push_back(piece);
    EXPECT_GT(pieces.size(), pages);
    for (void *piece : pieces)
        snap_heap_free(heap, piece);
    EXPECT_NE(snap_heap_alloc(heap, 1000), nullptr);
}

TEST_F(HeapTest, DestroyGivesEverythingBack) {
    for (std::size_t length = 1; length < 9000; length += 97)
        ASSERT_NE(snap_heap_alloc(heap, length), nullptr);
    EXPECT_FALSE(empty());
    snap_heap_destroy(heap);
    heap = nullptr;
    EXPECT_TRUE(empty());
}

TEST_F(HeapTest, RefusesBadArguments) {
    EXPECT_EQ(snap_heap_create(nullptr, &heap), -EINVAL);
    EXPECT_EQ(snap_heap_create(region.get(), nullptr), -EINVAL);
    errno = 0;
    EXPECT_EQ(snap_heap_alloc(nullptr, 1), nullptr);
    EXPECT_EQ(errno, EINVAL);
    errno = ERANGE;
    EXPECT_EQ(snap_heap_free(heap, nullptr), 0);
    EXPECT_EQ(snap_heap_free(nullptr, &heap), -EINVAL);
    EXPECT_EQ(snap_heap_free(heap, &heap), -EINVAL);
    auto *piece = static_cast<char *>(snap_heap_alloc(heap, 100));
    EXPECT_EQ(snap_heap_free(heap, piece + 16), -EINVAL);
    EXPECT_EQ(snap_heap_free(heap, piece + page), -EINVAL);
    EXPECT_EQ(snap_heap_realloc(heap, piece + 16, 5), nullptr);
    errno = ERANGE;
    EXPECT_EQ(snap_heap_free(heap, piece), 0);
    EXPECT_EQ(snap_heap_free(heap, piece), -EINVAL) << "twice";
    snap_heap_destroy(nullptr);
    EXPECT_EQ(errno, ERANGE);
}

// A commit replaces every byte of a region.
TEST_F(HeapTest, KeepsNothingInTheRegion) {
    std::vector<void *> pieces;
    for (std::size_t length = 1; length < 9000; length += 97)
        pieces.push_back(snap_heap_alloc(heap, length));
    std::memset(region.bytes().data(), 0xff, region.bytes().size());
    for (void *piece : pieces)
        EXPECT_EQ(snap_heap_free(heap, piece), 0);
    EXPECT_TRUE(empty());
}

// Pieces never overlap, whoever allocates.
TEST_F(HeapTest, ServesThreads) {
    const auto work = [this](unsigned int seed) {
        std::mt19937 random(seed);
        std::vector<std::pair<unsigned char *, std::size_t>> held;
        for (int step = 0; step < 5000; step++) {
            if (held.size() > 50 || (!held.empty() && random() % 3 == 0)) {
                std::swap(held[random() % held.size()], held.back());
                const auto [piece, length] = held.back();
                held.pop_back();
                for (std::size_t i = 0; i < length; i++)
                    ASSERT_EQ(piece[i], seed);
                snap_heap_free(heap, piece);
                continue;
            }
            const std::size_t length = 1 + random() % 3000;
            auto *piece =
                static_cast<unsigned char *>(snap_heap_alloc(heap, length));
            if (piece == nullptr)
                continue;
            std::memset(piece, static_cast<int>(seed), length);
            held.emplace_back(piece, length);
        }
        for (const auto &[piece, length] : held)
            snap_heap_free(heap, piece);
    };
    std::vector<std::thread> threads;
    for (unsigned int seed = 1; seed <= 4; seed++)
        threads.emplace_back(work, seed);
    for (auto &thread : threads)
        thread.join();
}

TEST_F(HeapTest, ContainersOfCxxLiveInIt) {
    {
        snap::Heap memory(region.get());
        std::pmr::vector<std::pmr::string> words(&memory);
        for (int i = 0; i < 1000; i++)
            words.emplace_back("a word that is too long for the short form " +
                               std::to_string(i));
        EXPECT_TRUE(inside(words.data(), words.size()));
        EXPECT_TRUE(inside(words.back().data(), words.back().size()));
    }
    snap_heap_destroy(heap);
    heap = nullptr;
    EXPECT_TRUE(empty());
}

TEST_F(HeapTest, RegionResourceGivesWholePages) {
    snap::RegionResource one(region.get());
    snap::RegionResource two(region.get());
    const auto other = make();
    snap::RegionResource elsewhere(other.get());
    EXPECT_TRUE(one.is_equal(two));
    EXPECT_FALSE(one.is_equal(elsewhere));
    EXPECT_FALSE(one.is_equal(*std::pmr::new_delete_resource()));
    void *piece = one.allocate(1, page);
    EXPECT_TRUE(inside(piece, page));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(piece) % page, 0U);
    two.deallocate(piece, 1, page);
    EXPECT_TRUE(empty());
    EXPECT_THROW((void)one.allocate(1, 2 * page), std::bad_alloc);
    EXPECT_THROW((void)one.allocate(pages * page + 1), std::bad_alloc);
}

} // namespace
