// SPDX-License-Identifier: LGPL-2.1-or-later
#include "piece_allocator.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace snap::detail {

PieceAllocator::~PieceAllocator() {
    for (const auto &[first, run] : runs_)
        pages_.release(first);
}

std::size_t PieceAllocator::class_of(std::size_t room) {
    return static_cast<std::size_t>(std::countr_zero(room) -
                                    std::countr_zero(smallest));
}

// Everything that may throw comes before the first change.
PieceAllocator::Runs::iterator PieceAllocator::add(std::size_t pages,
                                                   std::size_t room, Runs &to) {
    Runs made(1);
    runs_.reserve(runs_.size() + 1);
    const auto first = pages_.allocate(pages);
    if (!first)
        return to.end();
    made.front().first = *first;
    made.front().room = room;
    try {
        runs_.emplace(*first, made.begin());
    } catch (...) {
        pages_.release(*first);
        throw;
    }
    to.splice(to.begin(), made);
    return to.begin();
}

std::optional<std::size_t> PieceAllocator::take(Runs::iterator run) {
    std::size_t piece = 0;
    for (auto &bits : run->taken) {
        if (const int free = std::countr_one(bits); free < 64) {
            bits |= std::uint64_t{1} << free;
            piece += static_cast<std::size_t>(free);
            break;
        }
        piece += 64;
    }
    run->used++;
    if (run->used == run->pieces() && run->room < page_bytes)
        full_.splice(full_.begin(), open_.at(class_of(run->room)), run);
    return run->first * page_bytes + piece * run->room;
}

std::optional<std::size_t> PieceAllocator::allocate(std::size_t length,
                                                    std::size_t alignment) {
    const std::lock_guard guard(lock_);
    const std::size_t least = std::max({length, alignment, smallest});
    if (least > page_bytes / 2) {
        if (least > std::numeric_limits<std::size_t>::max() - page_bytes)
            return std::nullopt;
        const std::size_t pages = (least + page_bytes - 1) / page_bytes;
        const auto run = add(pages, pages * page_bytes, full_);
        return run == full_.end() ? std::nullopt : take(run);
    }
    const std::size_t room = std::bit_ceil(least);
    auto &open = open_.at(class_of(room));
    const auto run = open.empty() ? add(1, room, open) : open.begin();
    return run == open.end() ? std::nullopt : take(run);
}

std::optional<PieceAllocator::Piece>
PieceAllocator::find(std::size_t place) const {
    const auto found = runs_.find(place / page_bytes);
    if (found == runs_.end())
        return std::nullopt;
    const auto run = found->second;
    const std::size_t inside = place % page_bytes;
    const std::size_t number = inside / run->room;
    if (inside % run->room != 0 ||
        (run->taken.at(number / 64) >> number % 64 & 1) == 0)
        return std::nullopt;
    return Piece{run, number};
}

bool PieceAllocator::extend(std::size_t place, std::size_t length) {
    const std::lock_guard guard(lock_);
    const auto piece = find(place);
    if (!piece || piece->run->room < page_bytes ||
        length > std::numeric_limits<std::size_t>::max() - page_bytes)
        return false;
    const std::size_t pages = (length + page_bytes - 1) / page_bytes;
    if (!pages_.extend(piece->run->first, pages))
        return false;
    piece->run->room = pages * page_bytes;
    return true;
}

bool PieceAllocator::release(std::size_t place) {
    const std::lock_guard guard(lock_);
    const auto piece = find(place);
    if (!piece)
        return false;
    const auto [run, number] = *piece;
    const bool small = run->room < page_bytes;
    Runs &open = small ? open_.at(class_of(run->room)) : full_;
    if (small && run->used == run->pieces())
        open.splice(open.begin(), full_, run);
    run->taken.at(number / 64) &= ~(std::uint64_t{1} << number % 64);
    if (--run->used == 0) {
        const std::size_t first = run->first;
        runs_.erase(first);
        open.erase(run);
        pages_.release(first);
    }
    return true;
}

std::optional<std::size_t> PieceAllocator::room(std::size_t place) const {
    const std::lock_guard guard(lock_);
    const auto piece = find(place);
    return piece ? std::optional(piece->run->room) : std::nullopt;
}

} // namespace snap::detail
