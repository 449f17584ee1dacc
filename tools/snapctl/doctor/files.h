// SPDX-License-Identifier: LGPL-2.1-or-later
// What the kernel shows in files, below a root that tests may choose.
#ifndef SNAPCTL_DOCTOR_FILES_H
#define SNAPCTL_DOCTOR_FILES_H

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace snapctl::doctor {

// Paths are relative to the root.  What cannot be read is not there.
class Files {
  public:
    explicit Files(std::filesystem::path root) : root_(std::move(root)) {}

    std::filesystem::path at(const std::filesystem::path &path) const;
    bool exist(const std::filesystem::path &path) const;
    std::string text(const std::filesystem::path &path) const; // "": none
    std::string word(const std::filesystem::path &path) const; // its first
    std::vector<std::string> lines(const std::filesystem::path &path) const;
    // Decimal, or hexadecimal after "0x".
    std::optional<std::uint64_t>
    number(const std::filesystem::path &path) const;
    // Names in a folder, in order.
    std::vector<std::string> names(const std::filesystem::path &path) const;
    // The last part of what a symbolic link names.
    std::string link(const std::filesystem::path &path) const;
    bool may_open(const std::filesystem::path &path) const; // to read and write
    // Lines of the kernel's log, without their prefix; none if one may not.
    std::vector<std::string> log() const;

  private:
    std::filesystem::path root_;
};

} // namespace snapctl::doctor

#endif
