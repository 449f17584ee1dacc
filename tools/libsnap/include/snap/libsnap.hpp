// SPDX-License-Identifier: LGPL-2.1-or-later
// libsnap for C++20: objects that own what libsnap.h hands out.  Failures are
// thrown as std::system_error with the errno of the C function.  Threads: as
// in libsnap.h; moving or assigning an object is the caller's to order.
#ifndef SNAP_LIBSNAP_HPP
#define SNAP_LIBSNAP_HPP

#include "heap.hpp"
#include "memory.hpp"
#include "socket.hpp"
#include "view.hpp"

#endif
