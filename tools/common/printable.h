// SPDX-License-Identifier: LGPL-2.1-or-later
// The one way in which the tools show what others have named: a process
// chooses its name, a script its interpreter, and none of them may steer the
// terminal, add a line, or break the JSON.
#ifndef SNAP_COMMON_PRINTABLE_H
#define SNAP_COMMON_PRINTABLE_H

#include <string>
#include <string_view>

namespace snaptool {

// Valid UTF-8 of one line.  Characters that can be seen stay; of all others,
// and of what is no UTF-8, each byte becomes "\xNN", and a backslash two.
std::string printable(std::string_view text);

// "TOOL: TEXT", printable, and the end of the line, to standard error.
void complain(const char *tool, std::string_view text);

} // namespace snaptool

#endif
