// SPDX-License-Identifier: LGPL-2.1-or-later
#include "preload_list.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace snaprun {

namespace {

constexpr const char *list_variable = "LD_PRELOAD";

// Beside the program, where they are built, or where they are installed.
std::string find_library(const std::string &name) {
    const auto folder =
        std::filesystem::read_symlink("/proc/self/exe").parent_path();
    const auto own = folder.parent_path() / "lib" / "snap-run";
    const std::array places{folder / name, own / name};
    for (const auto &place : places)
        if (std::filesystem::exists(place))
            return place;
    throw std::runtime_error(name + " is neither in " + folder.string() +
                             " nor in " + own.string());
}

} // namespace

void preload(const std::string &library) {
    std::string list = find_library(library);
    if (list.find_first_of(": ") != std::string::npos)
        throw std::runtime_error(list +
                                 ": the loader takes no path with a space or "
                                 "colon");
    const char *const others = std::getenv(list_variable);
    if (others != nullptr && *others != '\0')
        list.append(":").append(others);
    ::setenv(list_variable, list.c_str(), 1);
}

} // namespace snaprun
