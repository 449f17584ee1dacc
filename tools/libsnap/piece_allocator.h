// SPDX-License-Identifier: LGPL-2.1-or-later
// Pieces of pages.  What is in use is noted outside of the pages: a commit, a
// discard or another process may change every byte of them at any time.
#ifndef LIBSNAP_PIECE_ALLOCATOR_H
#define LIBSNAP_PIECE_ALLOCATOR_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace snap::detail {

// Pieces are powers of two up to half a page, of pages of their own size, or
// runs of whole pages.  All places are bytes.
class PieceAllocator {
  public:
    static constexpr std::size_t page_bytes = 4096;
    static constexpr std::size_t smallest = 16;

    // Where whole pages come from, by number: nothing when there are none.
    struct Pages {
        std::function<std::optional<std::size_t>(std::size_t count)> allocate;
        std::function<bool(std::size_t first, std::size_t count)> extend;
        std::function<void(std::size_t first)> release; // must not throw
    };

    explicit PieceAllocator(Pages pages) : pages_(std::move(pages)) {}
    PieceAllocator(const PieceAllocator &) = delete;
    PieceAllocator &operator=(const PieceAllocator &) = delete;
    ~PieceAllocator(); // releases all pages

    // alignment: a power of two, at most a page.
    std::optional<std::size_t> allocate(std::size_t length,
                                        std::size_t alignment);

    // Gives the piece more bytes where it is, if it has whole pages and those
    // behind it are free.
    bool extend(std::size_t place, std::size_t length);

    // False if no piece starts there.
    bool release(std::size_t place);

    // Bytes that the piece has; nothing if none starts there.
    std::optional<std::size_t> room(std::size_t place) const;

  private:
    // Pages in one use: small pieces of one page, or one piece.
    struct Run {
        std::size_t first; // page
        std::size_t room;  // bytes of a piece
        std::size_t used = 0;
        std::array<std::uint64_t, page_bytes / smallest / 64> taken{};

        std::size_t pieces() const {
            return room < page_bytes ? page_bytes / room : 1;
        }
    };
    using Runs = std::list<Run>;

    static constexpr std::size_t classes = 8; // 16, 32, ... 2048 bytes
    static std::size_t class_of(std::size_t room);

    Runs::iterator add(std::size_t pages, std::size_t room, Runs &to);
    std::optional<std::size_t> take(Runs::iterator run);
    struct Piece {
        Runs::iterator run;
        std::size_t number;
    };
    std::optional<Piece> find(std::size_t place) const;

    Pages pages_;
    mutable std::mutex lock_;        // guards what follows
    std::array<Runs, classes> open_; // runs with room, by size
    Runs full_;
    std::unordered_map<std::size_t, Runs::iterator> runs_; // by first page
};

} // namespace snap::detail

#endif
