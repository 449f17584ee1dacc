// SPDX-License-Identifier: LGPL-2.1-or-later
#include "window.hpp"

#include <algorithm>
#include <sys/mman.h>

namespace snapmem_impl {

namespace {

// Length of the ascending run that begins at frames[0].
std::size_t run_length(std::span<const Frame> frames) {
    std::size_t n = 1;
    while (n < frames.size() && frames[n] == frames[n - 1] + 1) {
        ++n;
    }
    return n;
}

} // namespace

Window::Window(const Fd &file, std::uint32_t frames, std::uint32_t pages)
    : file_(file), frames_(frames),
      memory_(file, std::uint64_t{frames} * page_bytes, pages * page_bytes),
      entries_(pages) {
    for (Page p = 0; p < pages; ++p) {
        entries_[p] = {frames + p, 0};
    }
}

bool Window::begins(Page p) const {
    return p == 0 || entries_[p].owner != entries_[p - 1].owner ||
           entries_[p].backing != entries_[p - 1].backing + 1;
}

std::uint32_t Window::begin_count(Page first, Page end) const {
    std::uint32_t n = 0;
    for (Page p = first; p < end; ++p) {
        n += begins(p);
    }
    return n;
}

bool Window::map(Page p, std::uint32_t n, std::uint32_t backing,
                 int flags) noexcept {
    return mmap(memory_.data() + p * page_bytes, n * page_bytes,
                PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED | MAP_NORESERVE | flags, file_.get(),
                static_cast<off_t>(backing * page_bytes)) != MAP_FAILED;
}

std::optional<Page> Window::find_gap(std::uint32_t n) const {
    std::uint32_t run = 0;
    for (Page p = 0; p < pages(); ++p) {
        run = entries_[p].owner == 0 ? run + 1 : 0;
        if (run == n) {
            return p + 1 - n;
        }
    }
    return std::nullopt;
}

std::uint32_t Window::bind_cost(std::span<const Frame> frames) {
    std::uint32_t runs = 0;
    for (; !frames.empty(); frames = frames.subspan(run_length(frames))) {
        ++runs;
    }
    return runs + 1;
}

bool Window::bind(Page p, std::span<const Frame> frames,
                  std::uint32_t owner) noexcept {
    const auto n = static_cast<std::uint32_t>(frames.size());
    const Page end = std::min(p + n + 1, pages());
    segments_ -= begin_count(p, end);
    for (std::uint32_t i = 0; i < n; ++i) {
        entries_[p + i] = {frames[i], owner};
    }
    segments_ += begin_count(p, end);

    bool ok = true;
    while (ok && !frames.empty()) {
        const std::size_t run = run_length(frames);
        // Populated: the guest is about to fill them.
        ok = map(p, static_cast<std::uint32_t>(run), frames[0], MAP_POPULATE);
        p += static_cast<Page>(run);
        frames = frames.subspan(run);
    }
    return ok;
}

bool Window::rebind(Page p, Frame f) noexcept {
    if (!map(p, 1, f, MAP_POPULATE)) {
        return false;
    }
    const Page end = std::min(p + 2, pages());
    segments_ -= begin_count(p, end);
    entries_[p].backing = f;
    segments_ += begin_count(p, end);
    return true;
}

void Window::forget(Page p, std::uint32_t n) noexcept {
    const Page end = std::min(p + n + 1, pages());
    segments_ -= begin_count(p, end);
    for (Page q = p; q < p + n; ++q) {
        entries_[q] = {frames_ + q, 0};
    }
    segments_ += begin_count(p, end);
}

const char *Window::check() const {
    for (Page p = 0; p < pages(); ++p) {
        const Entry &e = entries_[p];
        if (e.owner == 0 ? e.backing != frames_ + p : e.backing >= frames_) {
            return "a window page has the wrong backing";
        }
    }
    return begin_count(0, pages()) == segments_
               ? nullptr
               : "the count of mapping segments is wrong";
}

} // namespace snapmem_impl
