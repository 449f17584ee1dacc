// SPDX-License-Identifier: LGPL-2.1-or-later
// A checkpoint in a file: the table, and a checksum of all of its bytes.
#ifndef KVSTORE_FILE_H
#define KVSTORE_FILE_H

#include "table.h"

#include <cstddef>
#include <span>
#include <string>

namespace kvstore {

// 0 or an errno.  Makes only system calls that a child of fork(2) in a program
// with threads may make.
int write_file(const char *path, std::span<const std::byte> table) noexcept;

// Reads it back: checksum, and all that the table promises.
Verdict verify_file(const std::string &path);

} // namespace kvstore

#endif
