// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How the engine learns of a store to a page before it lands.
#pragma once

#include "types.hpp"

#include <system_error>

namespace snapmem_impl {

// The host cannot trap stores.
class TrapError : public std::system_error {
    using std::system_error::system_error;
};

// What has been done for a store that waits.
enum class Resolved : std::uint8_t {
    no,   // no mapping could be had: ask again after a pause
    yes,  // it may try again: wake it
    woken // a disarm() of its page has woken it
};

// The engine, as a trap sees it.
class StoreSink {
  public:
    StoreSink() = default;
    StoreSink(const StoreSink &) = delete;
    StoreSink &operator=(const StoreSink &) = delete;
    virtual ~StoreSink() = default;

    // A thread is about to store to a page and waits. Takes the engine's lock:
    // a trap calls it without any lock of its own.
    virtual Resolved resolve_store(Page p) noexcept = 0;
};

// The engine calls these under its lock, all but start() and stop(). Ranges
// lie within one region.
class WriteTrap {
  public:
    WriteTrap() = default;
    WriteTrap(const WriteTrap &) = delete;
    WriteTrap &operator=(const WriteTrap &) = delete;
    virtual ~WriteTrap() = default;

    // Called once, first. Throws std::system_error if the host cannot do it.
    virtual void start(std::uint8_t *window, std::uint32_t pages,
                       StoreSink &sink) = 0;
    // No call to the sink is under way or follows after it.
    virtual void stop() noexcept = 0;

    // After it no store to the pages lands before resolve_store(). False:
    // some pages may be armed, others not; stray calls to the sink may come.
    [[nodiscard]] virtual bool arm(Page p, std::uint32_t n) noexcept = 0;
    // Stores land again; those that wait go on. Harmless when not armed. False:
    // some may wait still.
    virtual bool disarm(Page p, std::uint32_t n) noexcept = 0;
    // The pages have a new mapping, which is not armed. False: they cannot
    // be armed, and arm() will say so too.
    virtual bool rebound(Page p, std::uint32_t n) noexcept = 0;
};

} // namespace snapmem_impl
