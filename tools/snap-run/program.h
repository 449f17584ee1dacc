// SPDX-License-Identifier: LGPL-2.1-or-later
// The program to run: where it is, and whether the loader will preload.
#ifndef SNAP_RUN_PROGRAM_H
#define SNAP_RUN_PROGRAM_H

#include <stdexcept>
#include <string>

namespace snaprun {

class ProgramError : public std::runtime_error {
  public:
    ProgramError(int code, const std::string &text)
        : std::runtime_error(text), code_(code) {}
    int code() const noexcept { return code_; } // one of Exit

  private:
    int code_;
};

// As execvp(3) looks for it.  Throws ProgramError.
std::string find_program(const std::string &name);

// Throws ProgramError if a library cannot be preloaded into the program at
// path: it is static, of another machine, or gains privileges.  Of a script,
// the interpreter counts.  Returns the loader; empty: it cannot be known.
std::string check_preload(const std::string &path);

// The one of the GNU C library, which --heap needs.
bool is_gnu(const std::string &loader);

} // namespace snaprun

#endif
